import a_module_that_nobody_has


def answer():
    return a_module_that_nobody_has.answer()
