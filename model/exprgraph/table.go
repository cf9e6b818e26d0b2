package exprgraph

import "github.com/attnx/attnx/model/graph"

// row is one operator of Gorgonia: the fields of its type, and how it is read.
type row struct {
	fields string
	read   func(n *node) *graph.Value
}

// table has the operators that are read, by the name of their type in
// gorgonia.org/gorgonia. Constants and sizeOp are read elsewhere.
var table map[string]row

func init() { // the readers refer to the table
	table = map[string]row{
		"elemBinOp":   {"ʘBinaryOperator arg0 arg1 retSame", readBinary},
		"elemUnaryOp": {"ʘUnaryOperator argTensor numericResult", readUnary},
		"minBetween":  {"", func(n *node) *graph.Value { return n.binary(graph.Min) }},
		"maxBetween":  {"", func(n *node) *graph.Value { return n.binary(graph.Max) }},
		"dtConvOp":    {"inshape from to", func(n *node) *graph.Value { return n.b.Cast(n.arg(0), n.dtype(n.node)) }},
		"Iop":         {"", func(n *node) *graph.Value { return n.arg(0) }},

		"linAlgBinOp": {"āBinaryOperator transA transB", readProduct},
		"tensordotOp": {"aAxes bAxes aDims bDims retDims", readTensordot},

		"sumOp":     {"along d inputShape", func(n *node) *graph.Value { return n.reduce(graph.ReduceSum) }},
		"maxOp":     {"along d", func(n *node) *graph.Value { return n.reduce(graph.ReduceMax) }},
		"softmaxOp": {"shape axis isLog", readSoftmax},

		"reshapeOp":   {"from to", func(n *node) *graph.Value { return n.arg(0) }}, // fit gives it the shape of the node
		"transposeOp": {"pattern d", readTranspose},
		"concatOp":    {"axis d children", readConcat},
		"sliceOp":     {"Slice along a d", readSlice},
		"repeatOp":    {"along inputShape", readRepeat},
		"byIndicesOp": {"axis", readByIndices},

		"im2colOp":            {"h w padH padW strideH strideW dilationH dilationW", readColumns},
		"maxPoolOp":           {poolFields, readMaxPool},
		"avgPoolOp":           {poolFields, readAveragePool},
		"globalAveragePoolOp": {"", func(n *node) *graph.Value { return n.b.ReduceMean(n.arg(0), true, 2, 3) }},
		"upsampleOp":          {"stride", readUpsample},

		"BatchNormOp": {"momentum epsilon dims runningMean runningVariance saveMean saveVariance alpha beta training", readBatchNorm},
		"GroupNormOp": {"numGroups numChannels epsilon mean rstd", readGroupNorm},
		"dropoutOp":   {"probability isTraining rndGen", func(n *node) *graph.Value { return n.arg(0) }},
	}
}

const poolFields = "unpaddedB unpaddedC unpaddedH unpaddedW h w padNorth padWest padSouth padEast explicitPadding strideH strideW mask"

// remedies are what to do about operators that cannot be read, where it is not
// the usual.
var remedies = map[string]string{
	"randomOp": "list the node in Inputs, and draw the numbers where the network runs",
	"readOp":   "list the node that it reads in Outputs",
	"letOp":    "list the nodes that it binds",
	"atOp":     "take gorgonia.Slice: Gorgonia's tape machine does not run At, and continues with the whole argument",
}
