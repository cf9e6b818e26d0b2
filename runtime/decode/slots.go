package decode

import "fmt"

// The cache of kind role.CacheShared. Every sequence has a slot of the buffers,
// past and present are the same memory, and the model writes a token after those
// that the mask counts. There is no padding.

// decodeReplay is the replay number of the run that adds a token to every
// sequence. The memory and shapes of that run never change.
const decodeReplay = 1

// prefillSlots runs the prompts one by one, each in its own slot, and then
// binds the inputs and outputs of every Step. begin is the number of tokens that
// the cache has of each.
func (d *Decoder) prefillSlots(prompts [][]int64, begin int) (logits []float32, err error) {
	seen := d.longest()
	ones(d.mask.values[:seen])
	if err := d.mask.send(d.device, 0, seen); err != nil {
		return nil, fmt.Errorf("%s: %w", maskName, err)
	}
	for slot, prompt := range prompts {
		tokens := 0
		for from := begin; from < len(prompt); from += tokens {
			tokens = min(d.chunk, len(prompt)-from)
			copy(d.text.values, prompt[from:from+tokens])
			for i := range tokens {
				d.text.values[tokens+i] = int64(from + i)
			}
			if err := d.sendText(tokens); err != nil {
				return nil, err
			}
			if err := d.bindSlots(slot, 1, tokens, from+tokens); err != nil {
				return nil, err
			}
			if err := d.device.Run(0); err != nil {
				return nil, err
			}
		}
		if logits, err = d.read(slot, 1, tokens); err != nil {
			return nil, err
		}
	}
	for slot, n := range d.lengths {
		row := d.mask.values[slot*d.context:][:d.context]
		clear(row)
		ones(row[:n])
	}
	if err := d.mask.send(d.device, 0, len(d.mask.values)); err != nil {
		return nil, fmt.Errorf("%s: %w", maskName, err)
	}
	return logits, d.bindSlots(0, d.batch, 1, d.context)
}

// bindSlots binds all inputs and outputs of a run.
func (d *Decoder) bindSlots(first, count, tokens, columns int) error {
	if err := d.bindText(count, tokens); err != nil {
		return err
	}
	if err := d.bindMask(count, columns); err != nil {
		return err
	}
	return d.bindCache(first, count, d.context, d.context)
}

// stepSlots adds a token to every slot. The token of an idle sequence is
// overwritten by the sequence's next one. In a full sequence it destroys an
// earlier token, which does no harm, since a full sequence stays idle.
func (d *Decoder) stepSlots([]int64) ([]float32, error) {
	from, to := len(d.mask.values), 0
	for slot, n := range d.lengths {
		at := slot*d.context + min(n, d.context-1)
		d.mask.values[at] = 1
		from, to = min(from, at), max(to, at+1)
	}
	if err := d.mask.send(d.device, from, to); err != nil {
		return nil, fmt.Errorf("%s: %w", maskName, err)
	}
	if err := d.sendText(d.batch); err != nil {
		return nil, err
	}
	if err := d.device.Run(decodeReplay); err != nil {
		return nil, err
	}
	return d.read(0, d.batch, 1)
}
