#include "textflag.h"

// Twelve sums stay in Y0 to Y11, two for each of six rows: a row of the tile
// is 64 bytes, 16 float32 or 8 float64. Each step loads one row of b into Y12
// and Y13 and multiplies it by each of the six numbers of a.

// The rows of c: R9 is the second one.
#define ROWS \
	MOVQ  k+0(FP), CX;      \
	MOVQ  a+8(FP), SI;      \
	MOVQ  b+16(FP), DI;     \
	MOVQ  c+24(FP), DX;     \
	MOVQ  stride+32(FP), R8

#define CLEAR \
	VXORPS Y0, Y0, Y0;    \
	VXORPS Y1, Y1, Y1;    \
	VXORPS Y2, Y2, Y2;    \
	VXORPS Y3, Y3, Y3;    \
	VXORPS Y4, Y4, Y4;    \
	VXORPS Y5, Y5, Y5;    \
	VXORPS Y6, Y6, Y6;    \
	VXORPS Y7, Y7, Y7;    \
	VXORPS Y8, Y8, Y8;    \
	VXORPS Y9, Y9, Y9;    \
	VXORPS Y10, Y10, Y10; \
	VXORPS Y11, Y11, Y11

#define LOAD \
	VMOVUPS (DX), Y0;          \
	VMOVUPS 32(DX), Y1;        \
	VMOVUPS (R9), Y2;          \
	VMOVUPS 32(R9), Y3;        \
	VMOVUPS (DX)(R8*2), Y4;    \
	VMOVUPS 32(DX)(R8*2), Y5;  \
	VMOVUPS (R9)(R8*2), Y6;    \
	VMOVUPS 32(R9)(R8*2), Y7;  \
	VMOVUPS (DX)(R8*4), Y8;    \
	VMOVUPS 32(DX)(R8*4), Y9;  \
	VMOVUPS (R9)(R8*4), Y10;   \
	VMOVUPS 32(R9)(R8*4), Y11

#define STORE \
	VMOVUPS Y0, (DX);          \
	VMOVUPS Y1, 32(DX);        \
	VMOVUPS Y2, (R9);          \
	VMOVUPS Y3, 32(R9);        \
	VMOVUPS Y4, (DX)(R8*2);    \
	VMOVUPS Y5, 32(DX)(R8*2);  \
	VMOVUPS Y6, (R9)(R8*2);    \
	VMOVUPS Y7, 32(R9)(R8*2);  \
	VMOVUPS Y8, (DX)(R8*4);    \
	VMOVUPS Y9, 32(DX)(R8*4);  \
	VMOVUPS Y10, (R9)(R8*4);   \
	VMOVUPS Y11, 32(R9)(R8*4); \
	VZEROUPPER

#define STEP32(at, left, right) \
	VBROADCASTSS at(SI), Y14;      \
	VFMADD231PS  Y12, Y14, left;   \
	VFMADD231PS  Y13, Y14, right

#define STEP64(at, left, right) \
	VBROADCASTSD at(SI), Y14;      \
	VFMADD231PD  Y12, Y14, left;   \
	VFMADD231PD  Y13, Y14, right

// func blasTile6x16(k int, a, b, c *float32, stride int, more bool)
TEXT ·blasTile6x16(SB), NOSPLIT, $0-41
	ROWS
	SHLQ $2, R8
	LEAQ (DX)(R8*1), R9
	MOVBLZX more+40(FP), AX
	TESTL AX, AX
	JNZ  add32
	CLEAR
	JMP  loop32

add32:
	LOAD

loop32:
	VMOVUPS (DI), Y12
	VMOVUPS 32(DI), Y13
	STEP32(0, Y0, Y1)
	STEP32(4, Y2, Y3)
	STEP32(8, Y4, Y5)
	STEP32(12, Y6, Y7)
	STEP32(16, Y8, Y9)
	STEP32(20, Y10, Y11)
	ADDQ $24, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop32
	STORE
	RET

// func blasTile6x8(k int, a, b, c *float64, stride int, more bool)
TEXT ·blasTile6x8(SB), NOSPLIT, $0-41
	ROWS
	SHLQ $3, R8
	LEAQ (DX)(R8*1), R9
	MOVBLZX more+40(FP), AX
	TESTL AX, AX
	JNZ  add64
	CLEAR
	JMP  loop64

add64:
	LOAD

loop64:
	VMOVUPS (DI), Y12
	VMOVUPS 32(DI), Y13
	STEP64(0, Y0, Y1)
	STEP64(8, Y2, Y3)
	STEP64(16, Y4, Y5)
	STEP64(24, Y6, Y7)
	STEP64(32, Y8, Y9)
	STEP64(40, Y10, Y11)
	ADDQ $48, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop64
	STORE
	RET
