package decode

import "fmt"

// The parts of a run that both kinds of cache share.

// sendText sends n ids to the device, followed by their positions.
func (d *Decoder) sendText(n int) error {
	if d.model.positions >= 0 {
		n *= 2
	}
	if err := d.text.send(d.device, 0, n); err != nil {
		return fmt.Errorf("%s: %w", idsName, err)
	}
	return nil
}

// bindText binds ids, positions and logits for runs of the given number of
// tokens of batch sequences, unless they are bound already.
func (d *Decoder) bindText(batch, tokens int) error {
	if d.tokens == [2]int{batch, tokens} {
		return nil
	}
	d.tokens = [2]int{}
	n := batch * tokens
	if err := d.device.BindInput(d.model.ids, d.text.memory, 0, d.dims(batch, tokens)); err != nil {
		return fmt.Errorf("%s: %w", idsName, err)
	}
	if d.model.positions >= 0 {
		if err := d.device.BindInput(d.model.positions, d.text.memory, 8*n, d.dims(batch, tokens)); err != nil {
			return fmt.Errorf("%s: %w", positionsName, err)
		}
	}
	positions := tokens
	if d.model.lastOnly {
		positions = 1
	}
	if err := d.device.BindOutput(d.model.logits, d.scores, 0, d.dims(batch, positions, d.model.vocab)); err != nil {
		return fmt.Errorf("%s: %w", logitsName, err)
	}
	d.tokens = [2]int{batch, tokens}
	return nil
}

// bindMask binds the mask in the shape of the next run.
func (d *Decoder) bindMask(batch, columns int) error {
	if err := d.device.BindInput(d.model.mask, d.mask.memory, 0, d.dims(batch, columns)); err != nil {
		return fmt.Errorf("%s: %w", maskName, err)
	}
	return nil
}

// bindCache binds the past of every layer, which has past tokens and starts
// offset sequences into its buffer, and its present, which has present tokens.
func (d *Decoder) bindCache(offset, batch, past, present int) error {
	for i, t := range d.model.caches {
		from := offset * t.heads * d.context * t.width * t.dtype.Size()
		if err := d.device.BindInput(t.in, d.buffers[d.turn][i], from, d.dims(batch, t.heads, past, t.width)); err != nil {
			return fmt.Errorf("%s: %w", t.past, err)
		}
		if err := d.device.BindOutput(t.out, d.buffers[1-d.turn][i], from, d.dims(batch, t.heads, present, t.width)); err != nil {
			return fmt.Errorf("%s: %w", t.present, err)
		}
	}
	return nil
}

// dims returns a shape for one call of a bind method. The next call reuses its
// memory.
func (d *Decoder) dims(shape ...int) []int { return d.shape[:copy(d.shape[:], shape)] }

// read returns the logits (batch,V) of the last token of each sequence. The
// last run computed the given number of tokens of count sequences, from first
// on.
func (d *Decoder) read(first, count, tokens int) ([]float32, error) {
	if d.model.lastOnly {
		tokens = 1
	}
	if tokens == 1 && count == d.batch && d.view != nil {
		return d.view[:len(d.rows)], nil
	}
	pieces, width := count, d.model.vocab
	if tokens == 1 { // they are contiguous
		pieces, width = 1, count*d.model.vocab
	}
	for i := range pieces {
		from := (i*tokens + tokens - 1) * d.model.vocab
		row := d.rows[(first+i)*d.model.vocab:][:width]
		if d.view != nil {
			copy(row, d.view[from:])
		} else if err := d.device.Read(d.scores, 4*from, bytesOf(row)); err != nil {
			return nil, fmt.Errorf("%s: %w", logitsName, err)
		}
	}
	return d.rows, nil
}

// ones sets every element to 1.
func ones(v []int64) {
	for i := range v {
		v[i] = 1
	}
}
