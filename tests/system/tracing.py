"""Other processes by ptrace(2): a system call made in their name (x86-64)."""
import ctypes, os, signal

ATTACH, SYSCALL, DETACH, POKEUSER, GETREGS = 16, 24, 17, 6, 12
ORIG_RAX = 15 * 8


class Injected:
    """Makes the next system call of a process of one thread another one, with the arguments as they are. The kernel asks the filters of
    system calls after the tracer has had its say."""

    def __init__(self, pid):
        self.pid = pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def _ptrace(self, what, address=None, data=None):
        if self.libc.ptrace(what, self.pid, address, data) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {what} of {self.pid}")

    def make(self, number):
        self._ptrace(ATTACH)
        os.waitpid(self.pid, 0)
        # One stop is that of a call which was under way and is over, or the entry of the next one: the entry is where the result is ENOSYS.
        for _ in range(3):
            self._ptrace(SYSCALL)
            _, status = os.waitpid(self.pid, 0)
            if not os.WIFSTOPPED(status):
                return
            if self._result() == -38:
                self._ptrace(POKEUSER, ORIG_RAX, number)
                break
        self._ptrace(DETACH)

    def _result(self):
        registers = (ctypes.c_longlong * 27)()
        self._ptrace(GETREGS, None, ctypes.addressof(registers))
        return registers[10]  # rax
