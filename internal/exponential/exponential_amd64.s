#include "textflag.h"

DATA expConst<>+0(SB)/4, $0x3fb8aa3b // 1/ln 2
DATA expConst<>+4(SB)/4, $0x3f317218 // ln 2, rounded
DATA expConst<>+8(SB)/4, $0xb102e308 // what the rounding left over
DATA expConst<>+12(SB)/4, $0xc2ac0000 // -86: below, the result is 0; no result is a denormal number, which is slow
DATA expConst<>+16(SB)/4, $0x42b20000 // 89: above, it is +Inf
DATA expConst<>+20(SB)/4, $0x39500d01 // 1/7!
DATA expConst<>+24(SB)/4, $0x3ab60b61 // 1/6!
DATA expConst<>+28(SB)/4, $0x3c088889 // 1/5!
DATA expConst<>+32(SB)/4, $0x3d2aaaab // 1/4!
DATA expConst<>+36(SB)/4, $0x3e2aaaab // 1/3!
DATA expConst<>+40(SB)/4, $0x3f000000 // 1/2!
DATA expConst<>+44(SB)/4, $0x3f800000 // 1
GLOBL expConst<>(SB), RODATA, $48

// 127 in every lane: the bias of an exponent.
DATA expBias<>+0(SB)/8, $0x0000007f0000007f
DATA expBias<>+8(SB)/8, $0x0000007f0000007f
DATA expBias<>+16(SB)/8, $0x0000007f0000007f
DATA expBias<>+24(SB)/8, $0x0000007f0000007f
GLOBL expBias<>(SB), RODATA, $32

// func exp8(n int, x *float32)
TEXT ·exp8(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVQ x+8(FP), SI
	VBROADCASTSS expConst<>+0(SB), Y4
	VBROADCASTSS expConst<>+4(SB), Y5
	VBROADCASTSS expConst<>+8(SB), Y6
	VBROADCASTSS expConst<>+12(SB), Y7
	VBROADCASTSS expConst<>+16(SB), Y8
	VBROADCASTSS expConst<>+20(SB), Y9
	VBROADCASTSS expConst<>+24(SB), Y10
	VBROADCASTSS expConst<>+28(SB), Y11
	VBROADCASTSS expConst<>+32(SB), Y12
	VBROADCASTSS expConst<>+36(SB), Y13
	VBROADCASTSS expConst<>+40(SB), Y14
	VBROADCASTSS expConst<>+44(SB), Y15

loop:
	VMOVUPS (SI), Y0
	VMINPS  Y0, Y8, Y2      // x second: a NaN stays
	VMAXPS  Y2, Y7, Y2
	VMULPS  Y4, Y2, Y1
	VROUNDPS $0, Y1, Y1     // n
	VFNMADD231PS Y5, Y1, Y2 // r = x - n ln 2
	VFNMADD231PS Y6, Y1, Y2
	VMOVAPS Y9, Y3
	VFMADD213PS Y10, Y2, Y3
	VFMADD213PS Y11, Y2, Y3
	VFMADD213PS Y12, Y2, Y3
	VFMADD213PS Y13, Y2, Y3
	VFMADD213PS Y14, Y2, Y3
	VFMADD213PS Y15, Y2, Y3
	VFMADD213PS Y15, Y2, Y3
	VCVTPS2DQ Y1, Y1
	VPADDD  expBias<>(SB), Y1, Y1
	VPSLLD  $23, Y1, Y1     // 2^n
	VMULPS  Y1, Y3, Y3
	VCMPPS  $5, Y7, Y0, Y2  // not below -86
	VANDPS  Y2, Y3, Y3
	VMOVUPS Y3, (SI)
	ADDQ    $32, SI
	SUBQ    $8, CX
	JNZ     loop
	VZEROUPPER
	RET

// func expSum8(n int, x *float32, top float32, sums *[8]float32)
TEXT ·expSum8(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
	MOVQ x+8(FP), SI
	VBROADCASTSS top+16(FP), Y8
	MOVQ sums+24(FP), DI
	VMOVUPS (DI), Y0
	VBROADCASTSS expConst<>+0(SB), Y4
	VBROADCASTSS expConst<>+4(SB), Y5
	VBROADCASTSS expConst<>+8(SB), Y6
	VBROADCASTSS expConst<>+12(SB), Y7
	VBROADCASTSS expConst<>+20(SB), Y9
	VBROADCASTSS expConst<>+24(SB), Y10
	VBROADCASTSS expConst<>+28(SB), Y11
	VBROADCASTSS expConst<>+32(SB), Y12
	VBROADCASTSS expConst<>+36(SB), Y13
	VBROADCASTSS expConst<>+40(SB), Y14
	VBROADCASTSS expConst<>+44(SB), Y15

sum:
	VMOVUPS (SI), Y2
	VSUBPS  Y8, Y2, Y2
	VMAXPS  Y2, Y7, Y2      // x second: a NaN stays
	VMULPS  Y4, Y2, Y1
	VROUNDPS $0, Y1, Y1     // n
	VFNMADD231PS Y5, Y1, Y2 // r = x - n ln 2
	VFNMADD231PS Y6, Y1, Y2
	VMOVAPS Y9, Y3
	VFMADD213PS Y10, Y2, Y3
	VFMADD213PS Y11, Y2, Y3
	VFMADD213PS Y12, Y2, Y3
	VFMADD213PS Y13, Y2, Y3
	VFMADD213PS Y14, Y2, Y3
	VFMADD213PS Y15, Y2, Y3
	VFMADD213PS Y15, Y2, Y3
	VCVTPS2DQ Y1, Y1
	VPADDD  expBias<>(SB), Y1, Y1
	VPSLLD  $23, Y1, Y1     // 2^n
	VFMADD231PS Y1, Y3, Y0
	ADDQ    $32, SI
	SUBQ    $8, CX
	JNZ     sum
	VMOVUPS Y0, (DI)
	VZEROUPPER
	RET

// func max8(n int, x *float32, top *[8]float32)
TEXT ·max8(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ x+8(FP), SI
	MOVQ top+16(FP), DI
	VMOVUPS (DI), Y0

largest:
	VMAXPS (SI), Y0, Y0
	ADDQ   $32, SI
	SUBQ   $8, CX
	JNZ    largest
	VMOVUPS Y0, (DI)
	VZEROUPPER
	RET
