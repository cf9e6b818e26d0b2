package runtime

import "github.com/attnx/attnx/format"

// CheckMask returns a *format.RangeError where the inputs of a model with a past
// hold an attention_mask, of integers, with an element that is neither 1, which
// shows a token, nor 0, which hides it.
func CheckMask(inputs map[string]format.Tensor) error {
	mask, ok := inputs["attention_mask"]
	if _, past := inputs[pastName(0, "key")]; !ok || !past || mask.DType != format.Int64 && mask.DType != format.Int32 {
		return nil
	}
	return mask.WithName("attention_mask").CheckRange(0, 1)
}
