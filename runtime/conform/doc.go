// Package conform is the test suite that every engine and every runtime must pass: each
// operator alone on golden numbers from PyTorch, both networks on golden logits, and both
// networks in every batch size and sequence length against the oracle. Only tests import
// it.
//
// A runtime's test is a few lines:
//
//	func TestConformance(t *testing.T) {
//		open := func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) { ... }
//		conform.Ops(t, open, conform.Options{})
//		conform.Networks(t, open, conform.Options{}, build, oracle)
//	}
//
// A runtime declares what it cannot do in [Options.Skip], with the reason. The test then
// shows as skipped, not as passed. A new operator without golden numbers fails the suite.
package conform
