#include "textflag.h"

// The kernels of products keep the sums of their rows in registers. Each step loads one row of
// the panel, 128 bytes, and multiplies it by one number of each row of x. R8 and R12
// are the strides of x and z in bytes.
#define ARGS \
	MOVQ depth+0(FP), CX;    \
	MOVQ x+8(FP), SI;        \
	MOVQ xStride+16(FP), R8; \
	MOVQ panel+24(FP), DI;   \
	MOVQ z+32(FP), DX;       \
	MOVQ zStride+40(FP), R12; \
	SHLQ $3, R8;             \
	SHLQ $3, R12

#define ARGS_SINGLE \
	MOVQ depth+0(FP), CX;    \
	MOVQ x+8(FP), SI;        \
	MOVQ xStride+16(FP), R8; \
	MOVQ panel+24(FP), DI;   \
	MOVQ z+32(FP), DX;       \
	MOVQ zStride+40(FP), R12; \
	SHLQ $2, R8;             \
	SHLQ $2, R12

#define WIDEN_ARGS \
	MOVQ depth+0(FP), CX;   \
	MOVQ from+8(FP), SI;    \
	MOVQ stride+16(FP), R8; \
	MOVQ to+24(FP), DI;     \
	SHLQ $2, R8

#define STEP3(at, a, b, c) \
	VMOVUPD     at(DI), Y15;  \
	VFMADD231PD Y15, Y12, a;  \
	VFMADD231PD Y15, Y13, b;  \
	VFMADD231PD Y15, Y14, c

// func add3x16(depth int, x *float64, xStride int, panel *float64, z *float64, zStride int)
TEXT ·add3x16(SB), NOSPLIT, $0-48
	ARGS
	LEAQ (DX)(R12*1), R9
	LEAQ (DX)(R12*2), R10
	VMOVUPD (DX), Y0
	VMOVUPD 32(DX), Y1
	VMOVUPD 64(DX), Y2
	VMOVUPD 96(DX), Y3
	VMOVUPD (R9), Y4
	VMOVUPD 32(R9), Y5
	VMOVUPD 64(R9), Y6
	VMOVUPD 96(R9), Y7
	VMOVUPD (R10), Y8
	VMOVUPD 32(R10), Y9
	VMOVUPD 64(R10), Y10
	VMOVUPD 96(R10), Y11

loop3:
	VBROADCASTSD (SI), Y12
	VBROADCASTSD (SI)(R8*1), Y13
	VBROADCASTSD (SI)(R8*2), Y14
	STEP3(0, Y0, Y4, Y8)
	STEP3(32, Y1, Y5, Y9)
	STEP3(64, Y2, Y6, Y10)
	STEP3(96, Y3, Y7, Y11)
	ADDQ $8, SI
	ADDQ $128, DI
	DECQ CX
	JNZ  loop3
	VMOVUPD Y0, (DX)
	VMOVUPD Y1, 32(DX)
	VMOVUPD Y2, 64(DX)
	VMOVUPD Y3, 96(DX)
	VMOVUPD Y4, (R9)
	VMOVUPD Y5, 32(R9)
	VMOVUPD Y6, 64(R9)
	VMOVUPD Y7, 96(R9)
	VMOVUPD Y8, (R10)
	VMOVUPD Y9, 32(R10)
	VMOVUPD Y10, 64(R10)
	VMOVUPD Y11, 96(R10)
	VZEROUPPER
	RET

// row loads or stores one row of z and goes to the next one.
#define LOAD8(a, b) \
	VMOVUPD (R9), a;   \
	VMOVUPD 64(R9), b; \
	ADDQ    R12, R9

#define STORE8(a, b) \
	VMOVUPD a, (DX);   \
	VMOVUPD b, 64(DX); \
	ADDQ    R12, DX

#define STEP8(row, a, b) \
	VBROADCASTSD row, Z18;   \
	VFMADD231PD  Z16, Z18, a; \
	VFMADD231PD  Z17, Z18, b

// func add8x16(depth int, x *float64, xStride int, panel *float64, z *float64, zStride int)
TEXT ·add8x16(SB), NOSPLIT, $0-48
	ARGS
	MOVQ DX, R9
	LOAD8(Z0, Z1)
	LOAD8(Z2, Z3)
	LOAD8(Z4, Z5)
	LOAD8(Z6, Z7)
	LOAD8(Z8, Z9)
	LOAD8(Z10, Z11)
	LOAD8(Z12, Z13)
	LOAD8(Z14, Z15)
	LEAQ (SI)(R8*2), R10
	ADDQ R8, R10          // row 3
	LEAQ (R10)(R8*2), R11
	ADDQ R8, R11          // row 6

loop8:
	VMOVUPD (DI), Z16
	VMOVUPD 64(DI), Z17
	STEP8((SI), Z0, Z1)
	STEP8((SI)(R8*1), Z2, Z3)
	STEP8((SI)(R8*2), Z4, Z5)
	STEP8((R10), Z6, Z7)
	STEP8((SI)(R8*4), Z8, Z9)
	STEP8((R10)(R8*2), Z10, Z11)
	STEP8((R11), Z12, Z13)
	STEP8((R10)(R8*4), Z14, Z15)
	ADDQ $8, SI
	ADDQ $8, R10
	ADDQ $8, R11
	ADDQ $128, DI
	DECQ CX
	JNZ  loop8
	STORE8(Z0, Z1)
	STORE8(Z2, Z3)
	STORE8(Z4, Z5)
	STORE8(Z6, Z7)
	STORE8(Z8, Z9)
	STORE8(Z10, Z11)
	STORE8(Z12, Z13)
	STORE8(Z14, Z15)
	VZEROUPPER
	RET

// Both functions write panels of float64: each step converts 16 float32. SI goes to
// the next row of the matrix.
// func widen4(depth int, from *float32, stride int, to *float64)
TEXT ·widen4(SB), NOSPLIT, $0-32
	WIDEN_ARGS

loopWiden4:
	VCVTPS2PD (SI), Y0
	VCVTPS2PD 16(SI), Y1
	VCVTPS2PD 32(SI), Y2
	VCVTPS2PD 48(SI), Y3
	VMOVUPD Y0, (DI)
	VMOVUPD Y1, 32(DI)
	VMOVUPD Y2, 64(DI)
	VMOVUPD Y3, 96(DI)
	ADDQ R8, SI
	ADDQ $128, DI
	DECQ CX
	JNZ  loopWiden4
	VZEROUPPER
	RET

// func widen8(depth int, from *float32, stride int, to *float64)
TEXT ·widen8(SB), NOSPLIT, $0-32
	WIDEN_ARGS

loopWiden8:
	VCVTPS2PD (SI), Z0
	VCVTPS2PD 32(SI), Z1
	VMOVUPD Z0, (DI)
	VMOVUPD Z1, 64(DI)
	ADDQ R8, SI
	ADDQ $128, DI
	DECQ CX
	JNZ  loopWiden8
	VZEROUPPER
	RET

// The same kernels in float32: a row of the panel has 32 elements.
#define STEP3S(at, a, b, c) \
	VMOVUPS     at(DI), Y15;  \
	VFMADD231PS Y15, Y12, a;  \
	VFMADD231PS Y15, Y13, b;  \
	VFMADD231PS Y15, Y14, c

// func add3x32(depth int, x *float32, xStride int, panel *float32, z *float32, zStride int)
TEXT ·add3x32(SB), NOSPLIT, $0-48
	ARGS_SINGLE
	LEAQ (DX)(R12*1), R9
	LEAQ (DX)(R12*2), R10
	VMOVUPS (DX), Y0
	VMOVUPS 32(DX), Y1
	VMOVUPS 64(DX), Y2
	VMOVUPS 96(DX), Y3
	VMOVUPS (R9), Y4
	VMOVUPS 32(R9), Y5
	VMOVUPS 64(R9), Y6
	VMOVUPS 96(R9), Y7
	VMOVUPS (R10), Y8
	VMOVUPS 32(R10), Y9
	VMOVUPS 64(R10), Y10
	VMOVUPS 96(R10), Y11

loop3S:
	VBROADCASTSS (SI), Y12
	VBROADCASTSS (SI)(R8*1), Y13
	VBROADCASTSS (SI)(R8*2), Y14
	STEP3S(0, Y0, Y4, Y8)
	STEP3S(32, Y1, Y5, Y9)
	STEP3S(64, Y2, Y6, Y10)
	STEP3S(96, Y3, Y7, Y11)
	ADDQ $4, SI
	ADDQ $128, DI
	DECQ CX
	JNZ  loop3S
	VMOVUPS Y0, (DX)
	VMOVUPS Y1, 32(DX)
	VMOVUPS Y2, 64(DX)
	VMOVUPS Y3, 96(DX)
	VMOVUPS Y4, (R9)
	VMOVUPS Y5, 32(R9)
	VMOVUPS Y6, 64(R9)
	VMOVUPS Y7, 96(R9)
	VMOVUPS Y8, (R10)
	VMOVUPS Y9, 32(R10)
	VMOVUPS Y10, 64(R10)
	VMOVUPS Y11, 96(R10)
	VZEROUPPER
	RET

#define STEP8S(row, a, b) \
	VBROADCASTSS row, Z18;   \
	VFMADD231PS  Z16, Z18, a; \
	VFMADD231PS  Z17, Z18, b

// func add8x32(depth int, x *float32, xStride int, panel *float32, z *float32, zStride int)
TEXT ·add8x32(SB), NOSPLIT, $0-48
	ARGS_SINGLE
	MOVQ DX, R9
	LOAD8(Z0, Z1)
	LOAD8(Z2, Z3)
	LOAD8(Z4, Z5)
	LOAD8(Z6, Z7)
	LOAD8(Z8, Z9)
	LOAD8(Z10, Z11)
	LOAD8(Z12, Z13)
	LOAD8(Z14, Z15)
	LEAQ (SI)(R8*2), R10
	ADDQ R8, R10          // row 3
	LEAQ (R10)(R8*2), R11
	ADDQ R8, R11          // row 6

loop8S:
	VMOVUPS (DI), Z16
	VMOVUPS 64(DI), Z17
	STEP8S((SI), Z0, Z1)
	STEP8S((SI)(R8*1), Z2, Z3)
	STEP8S((SI)(R8*2), Z4, Z5)
	STEP8S((R10), Z6, Z7)
	STEP8S((SI)(R8*4), Z8, Z9)
	STEP8S((R10)(R8*2), Z10, Z11)
	STEP8S((R11), Z12, Z13)
	STEP8S((R10)(R8*4), Z14, Z15)
	ADDQ $4, SI
	ADDQ $4, R10
	ADDQ $4, R11
	ADDQ $128, DI
	DECQ CX
	JNZ  loop8S
	STORE8(Z0, Z1)
	STORE8(Z2, Z3)
	STORE8(Z4, Z5)
	STORE8(Z6, Z7)
	STORE8(Z8, Z9)
	STORE8(Z10, Z11)
	STORE8(Z12, Z13)
	STORE8(Z14, Z15)
	VZEROUPPER
	RET
