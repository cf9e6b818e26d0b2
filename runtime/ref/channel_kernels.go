package ref

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// channelKernels normalize channels.
var channelKernels = []kernel{
	certain(func(op graph.BatchNormalization, c call) array {
		x, scale, bias, mean, variance := c.args[0], c.args[1].f, c.args[2].f, c.args[3].f, c.args[4].f
		out := newArray(floats, x.shape)
		plane, _ := format.Elements(x.shape[2:])
		parallel(x.shape[0]*x.shape[1], func(i int) {
			channel := i % x.shape[1]
			deviation := math.Sqrt(variance[channel] + op.Epsilon)
			for j, v := range x.f[i*plane:][:plane] {
				out.f[i*plane+j] = (v-mean[channel])/deviation*scale[channel] + bias[channel]
			}
		})
		return out
	}),
	certain(func(op graph.GroupNormalization, c call) array {
		x, out := c.args[0], newArray(floats, c.shapes[0])
		plane, _ := format.Elements(x.shape[2:])
		width := x.shape[1] / op.NumGroups
		parallel(x.shape[0]*op.NumGroups, func(i int) {
			part := x.f[i*width*plane:][:width*plane]
			mean, variance := moments(part)
			deviation := math.Sqrt(variance + op.Epsilon)
			for j, v := range part {
				channel := (i*width + j/plane) % x.shape[1]
				out.f[i*width*plane+j] = (v-mean)/deviation*c.args[1].f[channel] + c.args[2].f[channel]
			}
		})
		return out
	}),
	certain(func(_ graph.Det, c call) array {
		x, out := c.args[0], newArray(floats, c.shapes[0])
		n := x.shape[len(x.shape)-1]
		parallel(len(out.f), func(i int) { out.f[i] = determinant(x.f[i*n*n:][:n*n], n) })
		return out
	}),
}

// moments returns the mean and the variance of x.
func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x))
}

// determinant eliminates with the largest pivot of each column.
func determinant(x []float64, n int) float64 {
	x = append([]float64(nil), x...)
	det := 1.0
	for c := range n {
		pivot := c
		for r := c + 1; r < n; r++ {
			if math.Abs(x[r*n+c]) > math.Abs(x[pivot*n+c]) {
				pivot = r
			}
		}
		if x[pivot*n+c] == 0 {
			return 0
		}
		if pivot != c {
			det = -det
			for j := range n {
				x[c*n+j], x[pivot*n+j] = x[pivot*n+j], x[c*n+j]
			}
		}
		det *= x[c*n+c]
		for r := c + 1; r < n; r++ {
			f := x[r*n+c] / x[c*n+c]
			for j := c; j < n; j++ {
				x[r*n+j] -= f * x[c*n+j]
			}
		}
	}
	return det
}
