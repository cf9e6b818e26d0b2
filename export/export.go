package export

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Options says how to write a file.
type Options struct {
	Profile  Profile
	Opset    int                // 0: the profile's
	Length   int                // flat: tokens in the sequence; 0: all that the position table has
	Fuse     bool               // cache: ONNX Runtime's own operators, and a cache of fixed length that is written in place
	DType    format.DType       // plain, cache: of weights and activations; format.Invalid: float32
	Quantize precision.Quantize // plain, cache: weights as integers; "": as they are
	Metadata map[string]string  // put into metadata_props, beside what File adds
}

// producer is what every file names as the program that wrote it.
const producer = "attnx"

// The metadata that every file carries.
const (
	MetaFingerprint = "attnx.fingerprint" // of the graph that was given
	MetaProfile     = "attnx.profile"
	MetaLength      = "attnx.length" // flat: tokens in the sequence
	MetaCache       = "attnx.cache"  // cache: how past becomes present, see CacheConcat and CacheShared
)

// The values of MetaCache.
const (
	CacheConcat = "concat" // present is past with the new keys and values behind it
	CacheShared = "shared" // both are one buffer of the context's length, written in place
)

// Summary tells what was written.
type Summary struct {
	Files   []string
	Opset   int
	Nodes   int
	Bytes   int64             // of all files
	Numbers precision.Numbers // what changing them did
}

// File writes g with its weights to path. A file of the same name is replaced
// once the new one is complete; after an error nothing new is left. Past 1.9 GB
// the weights go to path with "_data" added, in ONNX's external-data form.
func File(path string, g *graph.Graph, weights []format.Tensor, o Options) (Summary, error) {
	return file(path, g, weights, o, bundle.Limit)
}

func file(path string, g *graph.Graph, weights []format.Tensor, o Options, limit int64) (Summary, error) {
	m, numbers, err := Written(g, weights, o)
	if err != nil {
		return Summary{}, err
	}
	sum := Summary{Files: []string{path}, Opset: int(m.Opset()), Nodes: len(m.Graph.Nodes), Bytes: m.EncodedSize(), Numbers: numbers}
	if sum.Bytes <= limit {
		if err := store.Save(path, m.Encode); err != nil {
			return Summary{}, err
		}
		return sum, nil
	}
	data := path + "_data"
	size, err := bundle.Split(m, filepath.Base(data)).Save(path)
	if err != nil {
		return Summary{}, err
	}
	sum.Files, sum.Bytes = append(sum.Files, data), size
	return sum, nil
}

// Bytes returns g with its weights as an ONNX file in memory.
func Bytes(g *graph.Graph, weights []format.Tensor, o Options) ([]byte, error) {
	m, err := Model(g, weights, o)
	if err != nil {
		return nil, err
	}
	size := m.EncodedSize()
	if size > bundle.Limit {
		return nil, fmt.Errorf("export: %d bytes do not fit one ONNX file: export to a file", size)
	}
	var b bytes.Buffer
	b.Grow(int(size))
	err = m.Encode(&b)
	return b.Bytes(), err
}

// Model returns g with its weights as an ONNX model, checked. The weights'
// memory is shared.
func Model(g *graph.Graph, weights []format.Tensor, o Options) (*onnx.Model, error) {
	m, _, err := Written(g, weights, o)
	return m, err
}

// Written is Model, and says what changing the numbers did.
func Written(g *graph.Graph, weights []format.Tensor, o Options) (*onnx.Model, precision.Numbers, error) {
	opset, err := o.Profile.opset(o.Opset)
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	row := profiles[o.Profile]
	if row.weightInputs {
		if len(weights) > 0 {
			return nil, precision.Numbers{}, fmt.Errorf("export: profile %s takes its weights as inputs: give none", o.Profile)
		}
	} else if err := checkWeights(g, weights); err != nil {
		return nil, precision.Numbers{}, err
	}
	switch past := hasPast(g); {
	case past && o.Profile != Cache:
		return nil, precision.Numbers{}, fmt.Errorf("export: the network has a past, which profile %s does not take: take profile %s", o.Profile, Cache)
	case !past && o.Profile == Cache:
		return nil, precision.Numbers{}, fmt.Errorf("export: the network has no past, which profile %s is for: take another profile", Cache)
	}
	if o.Length != 0 && o.Profile != Flat {
		return nil, precision.Numbers{}, fmt.Errorf("export: profile %s runs any length: Length belongs to profile %s", o.Profile, Flat)
	}
	if o.Fuse && o.Profile != Cache {
		return nil, precision.Numbers{}, fmt.Errorf("export: profile %s keeps to standard operators: Fuse belongs to profile %s", o.Profile, Cache)
	}
	metadata := maps.Clone(o.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	metadata[MetaFingerprint] = graph.Fingerprint(g)
	metadata[MetaProfile] = string(o.Profile)
	var lowered *graph.Graph
	switch o.Profile {
	case Flat:
		length := o.Length
		most := g.Context
		if length == 0 {
			length = most
		}
		switch {
		case most > 0 && (length < 1 || length > most):
			return nil, precision.Numbers{}, fmt.Errorf("export: a sequence of %d tokens, the network runs 1 to %d", length, most)
		case length < 1:
			return nil, precision.Numbers{}, fmt.Errorf("export: profile %s needs the length of the sequence: the graph does not limit it", Flat)
		}
		metadata[MetaLength] = strconv.Itoa(length)
		lowered, weights, err = flatten(g, weights, length)
	default:
		lowered, err = Lower(g)
	}
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	e := newEmitter(lowered, opset, row)
	if o.Profile == Cache {
		metadata[MetaCache] = CacheConcat
	}
	if o.Fuse {
		metadata[MetaCache] = CacheShared
		if e.graph, e.fused, err = fuse(g); err != nil {
			return nil, precision.Numbers{}, err
		}
	}
	m, err := e.model(weights, metadata)
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	m, numbers, err := o.numbers(m, precision.Source{Graph: e.graph, Own: e.fused.has})
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	if err := onnx.Check(m, ""); err != nil {
		return nil, precision.Numbers{}, fmt.Errorf("export: %w", err)
	}
	return m, numbers, nil
}

// checkWeights reports the first difference between the weights and the
// parameters of g.
func checkWeights(g *graph.Graph, weights []format.Tensor) error {
	infos := make([]format.TensorInfo, len(weights))
	for i, t := range weights {
		if err := t.Check(); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		infos[i] = t.Info()
	}
	if err := g.CheckParams(infos); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for i, p := range g.Params {
		if weights[i].DType != p.DType {
			return fmt.Errorf("export: weight %.80q is %s, the graph has %s", p.Name, weights[i].DType, p.DType)
		}
	}
	return nil
}

// hasPast reports whether g takes the keys and values of tokens before its own.
func hasPast(g *graph.Graph) bool { return g.Input(role.Layered(role.PastKey, 0)) != nil }

// maxLength bounds the length that a file says it has, in tokens.
const maxLength = 1 << 20

// Info is what the metadata of a file of ours say.
type Info struct {
	Fingerprint string
	Profile     Profile
	Length      int // flat: tokens in the sequence
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
	if i.Profile == Flat {
		if i.Length, err = strconv.Atoi(m.Metadata[MetaLength]); err != nil || i.Length < 1 || i.Length > maxLength {
			return i, fmt.Errorf("metadata %s is %.80q, expects a length", MetaLength, m.Metadata[MetaLength])
		}
	}
	return i, nil
}
