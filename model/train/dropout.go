package train

import (
	"fmt"
	"maps"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// dropper draws the masks of dropout, which are inputs of a step's loss.
type dropper struct {
	plain   *graph.Graph   // the loss
	loss    *graph.Graph   // with the masks as inputs
	first   int            // number of the first mask
	p       []float64      // of each mask
	streams []model.Stream // of each mask
	masks   Batch
}

// newDropper returns nil without dropout.
func (o Options) newDropper(c *model.Checkpoint) (*dropper, error) {
	ratios := graph.Ratios(c.Graph)
	if o.Dropout == 0 && ratios == nil {
		return nil, nil
	}
	plain, err := o.WithLoss(c.Graph)
	if err != nil {
		return nil, err
	}
	loss, err := graph.DropMasks(plain)
	if err == nil && o.Dropout > 0 {
		loss, err = graph.AddDropout(loss)
	}
	if err != nil {
		return nil, err
	}
	if most := int(role.Other); len(loss.Inputs) > most {
		return nil, fmt.Errorf("train: dropout takes %d masks, at most %d: the network has too many layers for it", len(loss.Inputs)-len(plain.Inputs), most-len(plain.Inputs))
	}
	d := &dropper{plain: plain, loss: loss, first: len(plain.Inputs), p: ratios, masks: Batch{}}
	for _, in := range loss.Inputs[d.first:] {
		if len(d.p) == len(d.streams) {
			d.p = append(d.p, o.Dropout)
		}
		d.streams = append(d.streams, model.NewStream(o.Seed, "train."+in.Name))
	}
	return d, nil
}

// with returns a batch with the masks of batch number n. An element depends on the
// seed, the number of the batch, of the mask and its own.
func (d *dropper) with(b Batch, n int) (Batch, error) {
	shapes := map[string][]int{}
	for i, in := range d.plain.Inputs {
		shapes[in.Name] = b[KindOf(d.plain, i)].Shape
	}
	sizes, err := d.plain.BindInputs(shapes)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(b)
	for i := d.first; i < len(d.loss.Inputs); i++ {
		p := d.p[i-d.first]
		scale := float32(1 / (1 - p))
		least := uint32(math.Ldexp(p, 32)) // numbers below it drop
		in, k := d.loss.Inputs[i], KindOf(d.loss, i)
		shape, err := in.Shape.Eval(sizes)
		if err != nil {
			return nil, err
		}
		size := 1
		for _, s := range shape {
			size *= s
		}
		if d.masks[k].Elements() != size || d.masks[k].Data == nil {
			d.masks[k] = format.FromFloat32s(in.Name, shape, make([]float32, size))
		}
		mask := d.masks[k].WithName(in.Name)
		mask.Shape = shape
		x, err := mask.Float32s()
		if err != nil {
			return nil, err
		}
		stream, at := d.streams[i-d.first], uint64(n)<<32 // a batch takes at most so many blocks
		each(cut([][]float32{x}), func(_ int, part piece) {
			for j := part.from; j < part.to; j += 4 {
				block := stream.Block(at + uint64(j)/4)
				for k, r := range block[:min(4, part.to-j)] {
					x[j+k] = scale
					if r < least {
						x[j+k] = 0
					}
				}
			}
		})
		out[k] = mask
	}
	return out, nil
}
