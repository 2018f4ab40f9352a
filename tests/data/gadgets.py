"""Hostile pickles: programs that would touch a file, by every way that a pickle has of calling something."""

import builtins
import codecs
import functools
import importlib
import io
import marshal
import operator
import os
import pickle
import runpy
import shutil
import subprocess
import timeit
from pathlib import Path

import numpy as np

PROTOCOLS = range(6)


class Call:
    """Pickles as `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts

    def __call__(self):
        """Only so that the pickler takes what is called for callable."""


def calls(canary: Path) -> dict[str, Call]:
    """Objects whose plain unpickling touches `canary`."""
    file = str(canary)
    code = f"open({file!r}, 'w').close()"
    script = canary.with_suffix(".py")
    script.write_text(code)
    imported = Call(importlib.import_module, "pathlib")
    return {
        "os.system": Call(os.system, f"touch {file}"),
        "os.popen": Call(os.popen, f"touch {file}"),
        "os.mkdir": Call(os.mkdir, file),
        "os.open": Call(os.open, file, os.O_CREAT | os.O_WRONLY),
        "os.symlink": Call(os.symlink, "/", file),
        "subprocess.Popen": Call(subprocess.Popen, ["touch", file]),
        "subprocess.check_output": Call(subprocess.check_output, ["touch", file]),
        "builtins.eval": Call(eval, code),
        "builtins.exec": Call(exec, code),
        "builtins.open": Call(open, file, "w"),
        "builtins.map": Call(list, Call(map, eval, [code])),
        "builtins.getattr": Call(Call(getattr, Path(file), "touch")),
        "builtins.__import__": Call(Call(getattr, Call(builtins.__import__, "os"), "mkdir"), file),
        "compile and exec": Call(exec, Call(compile, code, "x", "exec")),
        "importlib.import_module": Call(Call(getattr, Call(getattr, imported, "Path"), "touch"), Path(file)),
        "runpy.run_path": Call(runpy.run_path, str(script)),
        "io.FileIO": Call(io.FileIO, file, "w"),
        "codecs.open": Call(codecs.open, file, "w"),
        "shutil.copy": Call(shutil.copy, str(script), file),
        "timeit.timeit": Call(timeit.timeit, code, "pass", timeit.default_timer, 1),
        "functools.partial": Call(Call(functools.partial, eval, code)),
        "operator.methodcaller": Call(Call(operator.methodcaller, "touch"), Path(file)),
        "operator.attrgetter": Call(Call(Call(operator.attrgetter, "system"), Call(__import__, "os")), f"touch {file}"),
        "pathlib.Path.touch": Call(Path.touch, Path(file)),
        "pickle.loads": Call(pickle.loads, pickle.dumps(Call(os.mkdir, file))),
        "marshal.loads": Call(exec, Call(marshal.loads, marshal.dumps(compile(code, "x", "exec")))),
        "numpy.save": Call(np.save, file + ".npy", np.zeros(1)),
        "numpy.memmap": Call(np.memmap, file, "u1", "w+", 0, (1,)),
        "numpy.ndarray.tofile": Call(np.ndarray.tofile, np.zeros(1), file),
        "in an array of objects": Call(np.array, [Call(os.mkdir, file)], object),
        "in a dictionary's key": {Call(os.mkdir, file): 1},
        "deep in lists": [[[[(Call(os.mkdir, file),)]]]],
    }


def by_hand(canary: Path) -> dict[str, bytes]:
    """Programs that no object is pickled as. Those in HARMLESS harm nobody but a reader who trusts them."""
    file = str(canary).encode()

    def word(text: bytes) -> bytes:
        return b"\x8c" + bytes([len(text)]) + text

    def name(module: bytes, thing: bytes) -> bytes:
        return word(module) + word(thing) + b"\x93"

    demo = name(b"rlbench.demo", b"Demo")
    encode = name(b"_codecs", b"encode")
    call = word(file) + b"\x85R."
    return {
        "INST": b"(S'" + file + b"'\nios\nmkdir\n.",
        "OBJ": b"(cos\nmkdir\nS'" + file + b"'\no.",
        "NEWOBJ": b"\x80\x02cnumpy\nmemmap\n(S'" + file + b"'\nS'u1'\nS'w+'\nK\x00K\x01t\x81.",
        "NEWOBJ_EX": b"\x80\x04"
        + name(b"numpy", b"memmap")
        + b"("
        + word(file)
        + word(b"u1")
        + word(b"w+")
        + b"K\x00K\x01t}\x92.",
        "GLOBAL": b"cos\nmkdir\n(S'" + file + b"'\ntR.",
        "an old name": b'c__builtin__\neval\n(S\'__import__("os").mkdir("' + file + b"\")'\ntR.",
        "a dotted name": b"\x80\x04" + name(b"pathlib", b"os.mkdir") + call,
        "after a demonstration": b"\x80\x04" + demo + b")\x810" + name(b"os", b"mkdir") + call,
        "in a demonstration's state": b"\x80\x04" + demo + b")\x81" + name(b"os", b"mkdir") + word(file) + b"\x85Rb.",
        "in an argument of a demonstration": b"\x80\x04"
        + demo
        + name(b"os", b"mkdir")
        + word(file)
        + b"\x85R\x85\x81.",
    } | {
        key: b"\x80\x04" + rest
        for key, rest in {
            "HARMLESS through a record's method": name(b"rlbench.demo", b"Demo.__new__.__globals__") + b".",
            "HARMLESS through a record's class": name(b"rlbench.demo", b"Demo.__class__") + b".",
            "HARMLESS another name of the module": name(b"rlbench.demo", b"pickle") + b".",
            "HARMLESS another module of RLBench": name(b"rlbench.utils", b"get_stored_demos") + b".",
            "HARMLESS an attribute of NumPy": name(b"numpy", b"ndarray.tofile") + b".",
            "HARMLESS a module in NumPy": name(b"numpy", b"f2py") + b".",
            "HARMLESS numpy's _reconstruct elsewhere": name(b"numpy.core", b"multiarray._reconstruct") + b".",
            "HARMLESS BUILD on a class": demo + b"}" + word(b"__setstate__") + word(b"x") + b"sb.",
            "HARMLESS BUILD of slots on a class": demo + b"N}" + word(b"arguments") + word(b"x") + b"s\x86b.",
            "HARMLESS BUILD on a function": encode + b"N}" + word(b"__defaults__") + word(b"x") + b"s\x86b.",
            "HARMLESS BUILD on a list": b"]}" + word(b"append") + word(b"x") + b"sb.",
            "HARMLESS BINPERSID": word(b"os.system") + b"Q.",
            "HARMLESS PERSID": b"Pos.system\n.",
            "HARMLESS EXT1": b"\x82\x01.",
            "HARMLESS EXT4": b"\x84\x01\x00\x00\x00.",
            "HARMLESS NEXT_BUFFER": b"\x97.",
            "HARMLESS calling a list": b"])R.",
            "HARMLESS a memo that is not there": b"h\x09.",
            "HARMLESS nothing on the stack": b".",
            "HARMLESS no end": demo,
            "HARMLESS no such instruction": b"\xff.",
            "HARMLESS an endless frame": b"\x95" + b"\xff" * 8,
            "HARMLESS bytes without end": b"\x8e" + b"\xff" * 7 + b"\x7f" + b"x",
            "HARMLESS a protocol to come": b"\x80\x09N.",
        }.items()
    }
