package train

import (
	"errors"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// ask sets which derivatives the engine computes: those by the weights that are
// learned, and by the running moments of BatchNormalization, in the order of the
// weights.
func (t *Trainer) ask() error {
	var moments []string
	if t.options.BatchStatistics {
		if moments = graph.RunningMoments(t.model.Graph); moments == nil {
			return errors.New("train: batch statistics belong to BatchNormalization: the network has none with moments of its own")
		}
	}
	named := func(name string) func(format.Tensor) bool {
		return func(w format.Tensor) bool { return w.Name == name }
	}
	for _, w := range t.weights {
		isMoment := slices.Contains(moments, w.Name)
		learned := slices.ContainsFunc(t.learned, named(w.Name))
		if !isMoment && !learned {
			continue
		}
		d := sameShapes([]format.Tensor{w})[0]
		t.asked = append(t.asked, d)
		if learned {
			t.grads = append(t.grads, d)
		} else {
			t.running = append(t.running, w)
		}
	}
	return nil
}

// updateMoments updates the running moments: the derivative by one is its difference
// from the moment of the batch.
func (t *Trainer) updateMoments() error {
	for _, w := range t.running {
		i := slices.IndexFunc(t.asked, func(d format.Tensor) bool { return d.Name == w.Name })
		x, errX := w.Float32s()
		d, errD := t.asked[i].Float32s()
		if err := errors.Join(errX, errD); err != nil {
			return err
		}
		for j := range x {
			x[j] -= graph.MomentShare * d[j]
		}
	}
	return nil
}
