package runtime

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// CheckMask returns a *format.RangeError if the inputs of a model with a past
// contain an integer mask with an element that is neither 1 (visible) nor 0
// (hidden).
func CheckMask(inputs map[string]format.Tensor) error {
	name := role.Of(role.AttentionMask).Name()
	mask, ok := inputs[name]
	if _, past := inputs[role.Layered(role.PastKey, 0).Name()]; !ok || !past || mask.DType != format.Int64 && mask.DType != format.Int32 {
		return nil
	}
	return mask.WithName(name).CheckRange(0, 1)
}
