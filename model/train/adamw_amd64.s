#include "textflag.h"

// func adamw8(n int, w, grad, m, v *float32, f *adamwFactors)
//
// Eight elements at a time: the operations of adamwPlain in its order, each
// rounded once, so that both give the same bits. n is a multiple of 8.
TEXT ·adamw8(SB), NOSPLIT, $0-48
	MOVQ n+0(FP), CX
	MOVQ w+8(FP), DI
	MOVQ grad+16(FP), SI
	MOVQ m+24(FP), DX
	MOVQ v+32(FP), R8
	MOVQ f+40(FP), R9
	VBROADCASTSS 0(R9), Y7   // scale
	VBROADCASTSS 4(R9), Y8   // keep
	VBROADCASTSS 8(R9), Y9   // beta1
	VBROADCASTSS 12(R9), Y10 // rest1
	VBROADCASTSS 16(R9), Y11 // beta2
	VBROADCASTSS 20(R9), Y12 // rest2
	VBROADCASTSS 24(R9), Y13 // rate
	VBROADCASTSS 28(R9), Y14 // root
	VBROADCASTSS 32(R9), Y15 // epsilon
	SHRQ $3, CX
	JZ   done

loop:
	VMULPS  (SI), Y7, Y0     // g·scale
	VMULPS  (DX), Y9, Y1     // beta1·m
	VMULPS  Y0, Y10, Y2      // rest1·g
	VADDPS  Y2, Y1, Y1       // m
	VMOVUPS Y1, (DX)
	VMULPS  (R8), Y11, Y2    // beta2·v
	VMULPS  Y0, Y12, Y3      // rest2·g
	VMULPS  Y0, Y3, Y3       // rest2·g·g
	VADDPS  Y3, Y2, Y2       // v
	VMOVUPS Y2, (R8)
	VSQRTPS Y2, Y2
	VMULPS  Y2, Y14, Y2      // √v·root
	VADDPS  Y15, Y2, Y2      // + epsilon
	VMULPS  Y1, Y13, Y1      // rate·m
	VDIVPS  Y2, Y1, Y1
	VMULPS  (DI), Y8, Y3     // w·keep
	VSUBPS  Y1, Y3, Y3
	VMOVUPS Y3, (DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, R8
	ADDQ $32, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET
