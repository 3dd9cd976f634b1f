"""Functions written with Powertools for AWS Lambda, and how one is put together in a folder."""

import importlib.metadata
import shutil
from pathlib import Path

# What a deployment package of these functions holds beside its own file.
PACKAGES = (
    "aws-lambda-powertools", "pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection",
    "jmespath",
)


def package(folder, module):
    """A function's folder as `pip install --target` and a copy make it."""
    folder = Path(folder)
    for name in PACKAGES:
        installed = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in installed.files if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            source = Path(installed.locate_file(top))
            if source.is_dir():
                shutil.copytree(source, folder / top, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            else:
                shutil.copy(source, folder / top)
    shutil.copy(Path(__file__).with_name(f"{module}.py"), folder / f"{module}.py")
    return folder
