#include "textflag.h"

// entry is the entry point of the program; see entry_amd64.s.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVD	$64, R19
next:
	MOVD	R19, R0
	MOVD	$0, R1
	SUB	$64, RSP, R2
	MOVD	$8, R3
	MOVD	$134, R8 // rt_sigaction(2)
	SVC
	CBNZ	R0, skip
	SUB	$64, RSP, R2
	MOVD	(R2), R4
	CMP	$1, R4 // SIG_IGN
	BNE	skip
	SUB	$1, R19, R5
	MOVD	$1, R4
	LSL	R5, R4, R4
	MOVD	·ignored(SB), R6
	ORR	R4, R6
	MOVD	R6, ·ignored(SB)
skip:
	SUB	$1, R19
	CBNZ	R19, next

	MOVD	$0, R0
	MOVD	$0, R1
	MOVD	$·blocked(SB), R2
	MOVD	$8, R3
	MOVD	$135, R8 // rt_sigprocmask(2)
	SVC

	MOVD	$1, R0 // standard output
	MOVD	$1, R1 // F_GETFD, fails only with EBADF
	MOVD	$25, R8 // fcntl(2)
	SVC
	LSR	$63, R0, R0
	MOVD	R0, ·outputClosed(SB)

	MOVD	$1, R4
	MOVD	R4, ·recorded(SB)
	JMP	_rt0_arm64_linux(SB)
