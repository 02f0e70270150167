#include "textflag.h"

// entry is the entry point of the program. It records which signals are ignored and which are
// blocked, whether standard output is closed, and jumps to the entry point of Go. Go's runtime is
// not initialized: there is only the stack of the kernel and one thread. The memory below the stack
// pointer is free, because no signal handler can run.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVQ	$64, R12
next:
	MOVQ	R12, DI
	MOVQ	$0, SI
	LEAQ	-64(SP), DX
	MOVQ	$8, R10
	MOVQ	$13, AX // rt_sigaction(2)
	SYSCALL
	CMPQ	AX, $0
	JNE	skip
	CMPQ	-64(SP), $1 // SIG_IGN
	JNE	skip
	LEAQ	-1(R12), CX
	MOVQ	$1, AX
	SHLQ	CX, AX
	ORQ	AX, ·ignored(SB)
skip:
	DECQ	R12
	JNZ	next

	MOVQ	$0, DI
	MOVQ	$0, SI
	LEAQ	·blocked(SB), DX
	MOVQ	$8, R10
	MOVQ	$14, AX // rt_sigprocmask(2)
	SYSCALL

	MOVQ	$1, DI // standard output
	MOVQ	$1, SI // F_GETFD, fails only with EBADF
	MOVQ	$72, AX // fcntl(2)
	SYSCALL
	SHRQ	$63, AX
	MOVQ	AX, ·outputClosed(SB)
	MOVQ	$1, ·recorded(SB)
	JMP	_rt0_amd64_linux(SB)
