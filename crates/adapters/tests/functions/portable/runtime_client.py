# Stands in front of the native half of AWS's client, as if this platform had none.
raise ImportError("not built for this platform")
