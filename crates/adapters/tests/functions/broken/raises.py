print("reading the configuration")
raise RuntimeError("no configuration")
