#include "textflag.h"

// restorer is the code to which a handler returns. It is no function: it never returns.
TEXT ·restorer(SB),NOSPLIT|NOFRAME,$0
	MOVL	$15, AX // rt_sigreturn(2)
	SYSCALL
	INT	$3

// func restorerAddress() uintptr
TEXT ·restorerAddress(SB),NOSPLIT,$0-8
	LEAQ	·restorer(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
