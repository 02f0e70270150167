#include "textflag.h"

DATA one<>+0(SB)/8, $1
GLOBL one<>(SB), RODATA, $8

// handler is the signal handler: it adds the signal, which is in DI, to pending and 1 to the
// eventfd. The kernel calls it as a C function on the signal stack. It uses no memory of Go's
// except the three variables, and rt_sigreturn(2) restores all registers.
//
// The handler drops a SIGPIPE that this process itself caused: the write has returned EPIPE. SI is
// the address of the siginfo_t.
//
// SIGCONT discards a stop signal that is pending, and a stop signal discards a pending SIGCONT, as
// in the kernel (prepare_signal, kernel/signal.c). run passes on the lowest number first. Without
// this, a SIGTSTP and then a SIGCONT would reach the command in the wrong order, and it would stay
// stopped.
TEXT ·handler(SB),NOSPLIT|NOFRAME,$0
	CMPL	DI, $13 // SIGPIPE
	JNE	notPipe
	MOVL	16(SI), AX // si_pid
	CMPL	AX, ·ownPid(SB)
	JEQ	done
	JMP	record
notPipe:
	CMPL	DI, $18 // SIGCONT
	JEQ	cont
	CMPL	DI, $20 // SIGTSTP, then SIGTTIN and SIGTTOU
	JLT	record
	CMPL	DI, $22
	JGT	record
	LOCK
	ANDQ	$~(1<<17), ·pending(SB)
	JMP	record
cont:
	LOCK
	ANDQ	$~(7<<19), ·pending(SB)
record:
	LEAL	-1(DI), CX
	MOVL	$1, AX
	SHLQ	CX, AX
	LOCK
	ORQ	AX, ·pending(SB)
	MOVL	·eventFD(SB), DI
	LEAQ	one<>(SB), SI
	MOVL	$8, DX
	MOVL	$1, AX // write(2)
	SYSCALL
done:
	RET

// func handlerAddress() uintptr
TEXT ·handlerAddress(SB),NOSPLIT,$0-8
	LEAQ	·handler(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
