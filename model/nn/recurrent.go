package nn

import "github.com/attnx/attnx/model/graph"

// GRU returns the states of gated recurrent units at each token: x (B,T,I) to (B,T,H),
// starting from zeros. The parameters are name.W (3·H,I), name.R (3·H,H) and name.B
// (6·H), with ONNX's order of gates. It is PyTorch's nn.GRU.
func (b *Builder) GRU(name string, x *graph.Value, in, hidden int, init graph.Init) *graph.Value {
	return b.GRUFrom(name, x, in, hidden, init)
}

// GRUFrom is GRU that begins with a state (B,H).
func (b *Builder) GRUFrom(name string, x *graph.Value, in, hidden int, init graph.Init, begin ...*graph.Value) *graph.Value {
	op := graph.GRU{Activations: "Sigmoid Tanh", LinearBeforeReset: true}
	return b.recurrent(name, op, 3, 1, 0, x, in, hidden, init, begin)
}

// LSTM returns the states of long short-term memories at each token: x (B,T,I) to
// (B,T,H), starting from zeros. The parameters are name.W (4·H,I), name.R (4·H,H) and
// name.B (8·H), with ONNX's order of gates. It is PyTorch's nn.LSTM.
func (b *Builder) LSTM(name string, x *graph.Value, in, hidden int, init graph.Init) *graph.Value {
	return b.LSTMFrom(name, x, in, hidden, init)
}

// LSTMFrom is LSTM that begins with a hidden state and a cell, (B,H).
func (b *Builder) LSTMFrom(name string, x *graph.Value, in, hidden int, init graph.Init, begin ...*graph.Value) *graph.Value {
	op := graph.LSTM{Activations: "Sigmoid Tanh Tanh"}
	return b.recurrent(name, op, 4, 2, 3, x, in, hidden, init, begin)
}

// recurrent records a recurrent operator with gates, states and peepholes.
func (b *Builder) recurrent(name string, op graph.Op, gates, states, peepholes int, x *graph.Value, in, hidden int, init graph.Init, begin []*graph.Value) *graph.Value {
	if b.Err() == nil && len(x.Shape) != 3 {
		b.Fail("nn: a recurrent layer of %s: expected (B,T,C)", x.Shape)
	}
	if b.Err() == nil && len(begin) > 0 && len(begin) != states {
		b.Fail("nn: a recurrent layer begins with %d states, expected %d", len(begin), states)
	}
	if b.Err() != nil {
		return x
	}
	batch := x.Shape[0]
	args := []*graph.Value{
		b.Transpose(x, 1, 0, 2), // (T,B,I)
		b.Param(name+".W", init, gates*hidden, in),
		b.Param(name+".R", init, gates*hidden, hidden),
		b.Param(name+".B", init, 2*gates*hidden),
	}
	args = append(append(args, b.Unending(batch)), begin...)
	for len(args) < 5+states {
		args = append(args, b.Expand(b.Scalar(0), batch, graph.N(hidden)))
	}
	if peepholes > 0 {
		args = append(args, b.Expand(b.Scalar(0), graph.N(peepholes*hidden)))
	}
	y := b.Name(name+".states", b.Apply(op, 0, args...)[0]) // (T,B,H)
	return b.Name(name, b.Transpose(y, 1, 0, 2))            // (B,T,H)
}
