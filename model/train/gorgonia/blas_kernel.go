package gorgonia

import "unsafe"

// The kernels, chosen once for the life of the process.
var (
	blasKernel32 = bestKernel32()
	blasKernel64 = bestKernel64()
)

// blasKernelOf returns the kernel of E.
func blasKernelOf[E element]() *blasKernel[E] {
	if k, ok := any(&blasKernel32).(*blasKernel[E]); ok {
		return k
	}
	k, _ := any(&blasKernel64).(*blasKernel[E])
	return k
}

// blasTile4x4 is the kernel in pure Go. Its sixteen sums are separate
// variables, because only then does the compiler keep them in registers.
func blasTile4x4[E element](k int, a, b, c *E, stride int, more bool) {
	pa, pb := unsafe.Slice(a, 4*k), unsafe.Slice(b, 4*k)
	pc := unsafe.Slice(c, 3*stride+4)
	r0, r1, r2, r3 := pc[:4], pc[stride:][:4], pc[2*stride:][:4], pc[3*stride:][:4]
	var s00, s01, s02, s03 E
	var s10, s11, s12, s13 E
	var s20, s21, s22, s23 E
	var s30, s31, s32, s33 E
	if more {
		s00, s01, s02, s03 = r0[0], r0[1], r0[2], r0[3]
		s10, s11, s12, s13 = r1[0], r1[1], r1[2], r1[3]
		s20, s21, s22, s23 = r2[0], r2[1], r2[2], r2[3]
		s30, s31, s32, s33 = r3[0], r3[1], r3[2], r3[3]
	}
	for len(pa) >= 4 && len(pb) >= 4 {
		b0, b1, b2, b3 := pb[0], pb[1], pb[2], pb[3]
		x0 := pa[0]
		s00 += x0 * b0
		s01 += x0 * b1
		s02 += x0 * b2
		s03 += x0 * b3
		x1 := pa[1]
		s10 += x1 * b0
		s11 += x1 * b1
		s12 += x1 * b2
		s13 += x1 * b3
		x2 := pa[2]
		s20 += x2 * b0
		s21 += x2 * b1
		s22 += x2 * b2
		s23 += x2 * b3
		x3 := pa[3]
		s30 += x3 * b0
		s31 += x3 * b1
		s32 += x3 * b2
		s33 += x3 * b3
		pa, pb = pa[4:], pb[4:]
	}
	r0[0], r0[1], r0[2], r0[3] = s00, s01, s02, s03
	r1[0], r1[1], r1[2], r1[3] = s10, s11, s12, s13
	r2[0], r2[1], r2[2], r2[3] = s20, s21, s22, s23
	r3[0], r3[1], r3[2], r3[3] = s30, s31, s32, s33
}
