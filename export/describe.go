package export

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/attnx/attnx/export/flat"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/model/role"
)

// maxLength bounds the sequence length in a file's metadata, in tokens.
const maxLength = 1 << 20

// Info is the metadata of a file that attnx wrote.
type Info struct {
	Fingerprint string
	Profile     Profile // with default options; Flat has the Length
}

// Describe reads the metadata of a file that File wrote.
func Describe(m *onnx.Model) (Info, error) {
	i := Info{Fingerprint: m.Metadata[MetaFingerprint]}
	if i.Fingerprint == "" {
		return i, fmt.Errorf("no %.80q in the metadata: attnx did not write this file", MetaFingerprint)
	}
	var err error
	if i.Profile, err = ParseProfile(m.Metadata[MetaProfile]); err != nil {
		return i, fmt.Errorf("metadata %s: %w", MetaProfile, err)
	}
	if p, flat := i.Profile.(Flat); flat {
		if p.Length, err = strconv.Atoi(m.Metadata[MetaLength]); err != nil || p.Length < 1 || p.Length > maxLength {
			return i, fmt.Errorf("metadata %s is %.80q, expects a length", MetaLength, m.Metadata[MetaLength])
		}
		i.Profile = p
	}
	return i, nil
}

// ProfileOf returns the profile and options with which export would write a
// file like m. It derives the options from inputs, outputs, nodes and
// initializers, because metadata are not reliable. named, from Describe, only
// selects the kind of profile.
func ProfileOf(m *onnx.Model, named Profile) Profile {
	opset, numbers := int(m.Opset()), precision.Of(m)
	if s := named.opsets(); opset < s.oldest || opset > s.newest {
		opset = 0
	}
	switch p := named.(type) {
	case Plain:
		return Plain{Opset: opset, DType: numbers.DType, Quantize: numbers.Quantize, Keep: numbers.Keep}
	case Cache:
		fused := slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "GroupQueryAttention" })
		return Cache{Opset: opset, Fuse: fused, apart: fused && !slices.ContainsFunc(m.Graph.Nodes, whole), LastLogits: lastLogits(m), DType: numbers.DType, Quantize: numbers.Quantize, Keep: numbers.Keep}
	case Flat:
		for _, in := range m.Graph.Inputs {
			if (in.Name == flat.OneHotInput || len(m.Graph.Inputs) == 1) && len(in.Dims) > 0 && !in.Dims[0].Open { // the other is a mask
				p.Length = int(in.Dims[0].Value)
			}
		}
		p.Opset = opset
		return p
	}
	return Train{Opset: opset}
}

// whole reports whether a node of a fused file rotates queries, or normalizes by
// root mean square: earlier versions of attnx wrote these with several nodes.
func whole(n *onnx.Node) bool {
	return n.Op == "SkipSimplifiedLayerNormalization" || n.Op == "GroupQueryAttention" && slices.ContainsFunc(n.Attributes, func(a onnx.Attribute) bool { return a.Name == "do_rotary" })
}

// lastLogits reports whether a file returns only the logits of the last token.
func lastLogits(m *onnx.Model) bool {
	for _, o := range m.Graph.Outputs {
		if o.Name == role.Logits.Name() && len(o.Dims) == 3 {
			return !o.Dims[1].Open
		}
	}
	return false
}
