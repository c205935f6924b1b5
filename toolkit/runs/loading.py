"""A workflow by its reference: `support` (the shipped example), `package.module:name`, `file.py:name` or `file.py`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from toolkit.errors import WorkflowError
from toolkit.graph.workflow import Workflow

SHIPPED = {"support": "toolkit.examples.support.workflow:support"}


def load_workflow(reference: str) -> Workflow:
    """The workflow. Raises WorkflowError saying what could not be found or what its file raised, and where."""
    where, _, name = SHIPPED.get(reference, reference).partition(":")
    module = _module(where, reference)
    if name:
        found = getattr(module, name, None)
        if not isinstance(found, Workflow):
            raise WorkflowError(f"{where} has no workflow {name!r}; {_those_in(module, where)}")
        return found
    workflows = {key: value for key, value in vars(module).items() if isinstance(value, Workflow)}
    if len({id(value) for value in workflows.values()}) != 1:
        raise WorkflowError(f"name the workflow: {_those_in(module, where)}")
    return next(iter(workflows.values()))


def _module(where: str, reference: str) -> ModuleType:
    try:
        if where.endswith(".py"):
            return _file_module(Path(where))
        return _package_module(where)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{where}.".startswith(f"{error.name}."):
            raise WorkflowError(
                f"there is no workflow {reference!r}; "
                f"give file.py:name, package.module:name, or one of {', '.join(SHIPPED)}"
            ) from None
        raise _raised(where, error) from error
    except WorkflowError as error:
        raise WorkflowError(f"{where}: {error}") from error
    except (Exception, SystemExit) as error:
        raise _raised(where, error) from error


def _package_module(name: str) -> ModuleType:
    """A module of an installed package, or of one in the current folder."""
    here = str(Path.cwd())
    added = [] if here in sys.path else [here]
    sys.path.extend(added)
    try:
        return importlib.import_module(name)
    finally:
        for folder in added:
            sys.path.remove(folder)


def _file_module(path: Path) -> ModuleType:
    if not path.exists():
        raise WorkflowError(f"there is no file {path}; a workflow's file is given as path/to/file.py:name")
    name = f"toolkit_workflow_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def _raised(where: str, error: BaseException) -> WorkflowError:
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(where.rsplit("/", 1)[-1]):
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.lineno:
        line = error.lineno
    at = f" at line {line}" if line else ""
    return WorkflowError(
        f"{where} raised {type(error).__name__} on import{at}: {error}; mend the file (--debug shows the traceback)"
    )


def _those_in(module: ModuleType, where: str) -> str:
    names = [key for key, value in vars(module).items() if isinstance(value, Workflow)]
    return f"{where} has {', '.join(names)}" if names else f"{where} defines no Workflow at its top level"
