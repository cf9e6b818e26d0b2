package read

import (
	"math"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// signalFamily is signals: Fourier transforms, windows, counts of n-grams.
var signalFamily = family{
	"DFT":             records(readDFT),
	"STFT":            records(readSTFT),
	"HannWindow":      window(0.5, 0.5, 0),
	"HammingWindow":   window(25.0/46, 21.0/46, 0),
	"BlackmanWindow":  window(0.42, 0.5, 0.08),
	"MelWeightMatrix": records(readMelWeightMatrix),
	"TfIdfVectorizer": records(readTfIdf),
}

// readDFT takes the axis from an attribute before version 20.
func readDFT(n *node) *graph.Value {
	x := n.arg(0)
	rank := len(x.Shape)
	op := graph.DFT{Inverse: n.flag("inverse", false), Onesided: n.flag("onesided", false)}
	switch {
	case n.version < 20:
		op.Axis = n.axis(n.int("axis", 1), rank)
	case n.has(2):
		op.Axis = n.axis(n.integer(2), rank)
	default:
		op.Axis = n.axis(-2, rank)
	}
	switch d := x.Shape[op.Axis]; {
	case n.has(1) && n.shape(1).Elements().Is(1):
		op.Length = n.dims(1)[0]
	case op.Inverse && op.Onesided:
		op.Length = d.Sub(graph.N(1)).Mul(graph.N(2))
	default:
		op.Length = d
	}
	if _, known := op.Length.Number(); op.Onesided && !known {
		n.open("half of %s frequencies", op.Length)
	}
	return n.apply(op, x)
}

// readSTFT transforms frames of the signal (B,length,parts), each times the window.
func readSTFT(n *node) *graph.Value {
	x, step := n.arg(0), n.integer(1)
	length, known := x.Shape[1].Number()
	if !known {
		n.open("frames of a signal %s", x.Shape)
	}
	size := length
	switch {
	case n.has(3):
		size = n.integer(3)
	case n.has(2):
		if size, known = n.shape(2).Elements().Number(); !known {
			n.open("a window %s", n.shape(2))
		}
	}
	if step < 1 || size < 1 || size > length {
		n.invalid("frames of %d every %d of %d elements", size, step, length)
	}
	count := 1 + (length-size)/step
	if count > denseLimit/8/size {
		n.refuse("%d frames of %d elements", count, size)
	}
	ids := make([]int64, 0, count*size)
	for i := range count {
		for j := range size {
			ids = append(ids, int64(i*step+j))
		}
	}
	places := n.weight("places", format.FromInt64s("", []int{count, size}, ids))
	frames := n.apply(graph.Gather{Axis: 1}, x, places)
	if n.has(2) {
		frames = n.b.Mul(frames, n.b.Reshape(n.arg(2), graph.N(size), graph.N(1)))
	}
	return n.apply(graph.DFT{Axis: 2, Length: graph.N(size), Onesided: n.flag("onesided", true)}, frames)
}

// ofType returns known numbers as a value of the type in an attribute.
func (n *node) ofType(attribute string, shape []int, x []float64) *graph.Value {
	t := n.typeOf(attribute)
	switch {
	case t == format.Invalid:
		t = format.Float32
	case !t.Float():
		return n.b.Cast(n.weight("numbers", format.FromFloat64s("", shape, x)), t)
	}
	numbers, _, err := format.FromFloat64s("", shape, x).Convert(t)
	if err != nil {
		n.refuse("%v", err)
	}
	return n.weight("numbers", numbers)
}

// window makes the row of a sum of cosines: a - b·cos + c·cos of twice the
// angle.
func window(a, b, c float64) row {
	return records(func(n *node) *graph.Value {
		size := n.integer(0)
		if size < 0 || size > denseLimit/8 {
			n.invalid("a window of %d elements", size)
		}
		period := float64(size)
		if !n.flag("periodic", true) {
			period--
		}
		x := make([]float64, size)
		for i := range x {
			angle := 2 * math.Pi * float64(i) / period
			x[i] = a - b*math.Cos(angle) + c*math.Cos(2*angle)
		}
		return n.ofType("output_datatype", []int{size}, x)
	})
}

// readMelWeightMatrix is one triangle per bin along the frequencies.
func readMelWeightMatrix(n *node) *graph.Value {
	bins, length, rate := n.integer(0), n.integer(1), n.integer(2)
	low, high := mel(n.scalar(3)), mel(n.scalar(4))
	height := length/2 + 1
	if bins < 0 || length < 1 || rate < 1 || bins > denseLimit/8/height {
		n.invalid("%d bins of %d elements at a rate of %d", bins, length, rate)
	}
	corners := make([]int, bins+2)
	for i := range corners {
		hertz := 700 * (math.Pow(10, (low+float64(i)*(high-low)/float64(len(corners)))/2595) - 1)
		corners[i] = int(math.Floor(float64(length+1) * hertz / float64(rate)))
		if corners[i] < 0 || corners[i] >= height {
			n.invalid("frequency %g of %d elements at a rate of %d", hertz, length, rate)
		}
	}
	out := make([]float64, height*bins)
	for bin := range bins {
		left, top, right := corners[bin], corners[bin+1], corners[bin+2]
		if left == top {
			out[top*bins+bin] = 1
		}
		for i := left; i <= top && left < top; i++ {
			out[i*bins+bin] = float64(i-left) / float64(top-left)
		}
		for i := top; i < right; i++ {
			out[i*bins+bin] = float64(right-i) / float64(right-top)
		}
	}
	return n.ofType("output_datatype", []int{height, bins}, out)
}

// mel converts a frequency to the mel scale.
func mel(hertz float64) float64 { return 2595 * math.Log10(1+hertz/700) }

func readTfIdf(n *node) *graph.Value {
	if n.isSet("pool_strings") {
		n.refuse("n-grams of strings")
	}
	pool := n.attribute("pool_int64s", onnx.AttrInts)
	if pool == nil {
		n.invalid("it has no n-grams")
	}
	op := graph.TfIdfVectorizer{
		Min: n.int("min_gram_length", 1), Max: n.int("max_gram_length", 1), MaxSkip: n.int("max_skip_count", 0),
		Mode: n.text("mode", "TF"), Counts: n.ints("ngram_counts"), Indexes: n.ints("ngram_indexes"),
	}
	for _, i := range op.Indexes {
		if i < 0 || i > denseLimit/8 {
			n.invalid("an n-gram is counted at place %d", i)
		}
	}
	args := []*graph.Value{n.arg(0), n.weight("pool", format.FromInt64s("", []int{len(pool.Ints)}, pool.Ints))}
	if w := n.floats("weights"); w != nil {
		if len(w) != len(op.Indexes) {
			n.invalid("%d weights of %d n-grams", len(w), len(op.Indexes))
		}
		w = byPlace(w, op.Indexes, op.Width())
		weights, _, _ := format.FromFloat64s("", []int{len(w)}, w).Convert(format.Float32) // which they are
		args = append(args, n.weight("weights", weights))
	}
	return n.apply(op, args...)
}

// byPlace returns the weights of n-grams, ordered by their index in the output.
func byPlace(w []float64, indexes []int, width int) []float64 {
	out := make([]float64, width)
	for i, at := range indexes {
		out[at] = w[i]
	}
	return out
}
