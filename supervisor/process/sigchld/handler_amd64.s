#include "textflag.h"

DATA one<>+0(SB)/8, $1
GLOBL one<>(SB), RODATA, $8

// handler is the handler of SIGCHLD: it adds 1 to the eventfd. The kernel calls it as a C function
// on the signal stack. It uses no memory of Go's, and rt_sigreturn(2) restores all registers.
TEXT ·handler(SB),NOSPLIT|NOFRAME,$0
	MOVL	·eventFD(SB), DI
	LEAQ	one<>(SB), SI
	MOVL	$8, DX
	MOVL	$1, AX // write(2)
	SYSCALL
	RET

// func handlerAddress() uintptr
TEXT ·handlerAddress(SB),NOSPLIT,$0-8
	LEAQ	·handler(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
