package huggingface

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
)

// The rows of encoders.
var (
	bert = encoder(arch.Bert{}.Architecture(), "Bert", "bert.", "cls.predictions.decoder", "cls.predictions.bias",
		encoderSettings(setting{"type_vocab_size", whole, "2"})...)
	distilbert = encoder(arch.DistilBert{}.Architecture(), "DistilBert", "distilbert.", "vocab_projector", "vocab_projector.bias",
		setting{"vocab_size", whole, ""}, setting{"max_position_embeddings", whole, "512"}, setting{"dim", whole, ""}, setting{"hidden_dim", whole, ""},
		setting{"n_layers", whole, ""}, setting{"n_heads", whole, ""}, setting{"activation", text, `"gelu"`})
	roberta    = encoder(arch.Roberta{}.Architecture(), "Roberta", "roberta.", "lm_head.decoder", "lm_head.bias", robertaSettings...)
	xlmRoberta = encoder(arch.XLMRoberta{}.Architecture(), "XLMRoberta", "roberta.", "lm_head.decoder", "lm_head.bias", robertaSettings...)
)

var robertaSettings = encoderSettings(setting{"type_vocab_size", whole, "2"}, setting{padID, whole, "1"})

// encoderSettings are the settings in the manner of BERT, and others.
func encoderSettings(more ...setting) []setting {
	return append([]setting{
		{"vocab_size", whole, ""}, {"max_position_embeddings", whole, "512"}, {"hidden_size", whole, ""}, {"intermediate_size", whole, ""},
		{"num_hidden_layers", whole, ""}, {"num_attention_heads", whole, ""}, {"hidden_act", text, `"gelu"`}, {"layer_norm_eps", number, "1e-12"},
	}, more...)
}

// The members of a config.json that name classes, and say what their scores mean.
const (
	classesKey = "id2label"
	idsKey     = "label2id"
	problemKey = "problem_type"
	tiedKey    = "tie_word_embeddings"
)

// tasks are the ends of the names of transformers' classes, the first of each
// head is the one that is written.
var tasks = []struct{ class, head string }{
	{"Model", ""}, {"ForMaskedLM", arch.MaskedLM}, {"ForPreTraining", arch.MaskedLM}, {"ForSequenceClassification", arch.SequenceClassification},
	{"ForTokenClassification", arch.TokenClassification},
}

// unread are members of the files of encoders that transformers does not read.
var unread = strings.Fields("pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type directionality " +
	"sinusoidal_pos_embds tie_weights_")

// encoder returns the row of a network in the manner of BERT. decoder is the
// head of masked tokens, and bias the head's bias where it is the token
// embedding.
func encoder(name, stem, prefix, decoder, bias string, settings ...setting) family {
	f := family{
		arch:      name,
		class:     stem + tasks[0].class,
		roots:     []string{"embeddings", "encoder", "transformer", "pooler", "cls", "lm_head", "vocab_transform", "vocab_layer_norm", "vocab_projector", "pre_classifier", "classifier", "qa_outputs"},
		embedding: "embeddings.word_embeddings.weight",
		heads:     []string{"cls.", "lm_head.", "vocab_", "pre_classifier.", "classifier."},
		second:    []string{"cls.seq_relationship."},
		renamed:   map[string]string{".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"},
		buffer: func(name string, _ int) bool {
			return name == "embeddings."+role.Positions.Name() || name == "embeddings."+role.Segments.Name()
		},
		members: encoderMembers,
	}
	f.parse = func(o object) (nn.Network, error) { return o.parseEncoder(name, stem, settings) }
	f.form = func(n nn.Network) form {
		t := taskOf(n)
		w := form{class: stem + t.class(), prefix: prefix}
		switch t.Head {
		case "":
			w.prefix = ""
			w.second = f.heads
		case arch.MaskedLM:
			w.head, w.second = decoder+".weight", []string{"pooler."}
			switch twin := decoder + ".bias"; {
			case twin == bias:
			case t.Untied: // transformers has both, and uses the second
				w.own, w.twin, w.both = twin, bias, true
			default:
				w.own, w.twin = bias, twin
			}
		case arch.TokenClassification:
			w.second = []string{"pooler."}
		}
		return w
	}
	return f
}

// withoutPooler takes the projection of the first token's hidden state out of a
// network whose files have none: transformers saves a trunk with it or without,
// and the configuration does not say which.
func (d *folder) withoutPooler(about *config, c *model.Checkpoint, shards []shard) error {
	if !taskOf(about.network).Pooler {
		return nil
	}
	for _, s := range shards {
		for _, t := range s.Tensors() {
			if strings.HasPrefix(NetworkName(c.Arch, t.Name), "pooler.") {
				return nil
			}
		}
	}
	n, err := arch.With(about.network, struct {
		Pooler bool `json:"pooler"`
	}{})
	if err != nil {
		return d.errorf(configName, "%w", err)
	}
	about.network = n
	without, err := model.Of(n)
	if err != nil {
		return d.errorf(configName, "%w", err)
	}
	c.Config, c.Graph = without.Config, without.Graph
	return nil
}

// task is arch.Task in the JSON of a network.
type task struct{ arch.Task }

// taskOf returns what the hidden states of a network are for.
func taskOf(n nn.Network) (t task) {
	if text, err := json.Marshal(n); err == nil {
		_ = json.Unmarshal(text, &t) // a network without a task has the zero one
	}
	return t
}

// class returns the end of the name of transformers' class.
func (t task) class() string {
	for _, row := range tasks {
		if row.head == t.Head {
			return row.class
		}
	}
	return ""
}

// parseEncoder reads the config.json of an encoder.
func (o object) parseEncoder(name, stem string, settings []setting) (nn.Network, error) {
	o = maps.Clone(o)
	t, err := o.task(stem)
	if err != nil {
		return nil, err
	}
	if kind, err := o.text("position_embedding_type", "absolute"); err != nil || kind != "absolute" {
		return nil, cmp.Or(err, fmt.Errorf("position_embedding_type is %.40q, only absolute is supported", kind))
	}
	for _, name := range []string{"is_decoder", "add_cross_attention"} {
		if on, err := o.flag(name, false); err != nil || on {
			return nil, cmp.Or(err, fmt.Errorf("%s is true, only false is supported: the network is read as an encoder", name))
		}
	}
	for _, name := range append(unread, "position_embedding_type", tiedKey) {
		delete(o, name)
	}
	for i := range settings {
		name, err := o.named(settings[i].name)
		if err != nil {
			return nil, err
		}
		if name != settings[i].name {
			o[settings[i].name] = o[name]
		}
		for _, alias := range aliases[settings[i].name] {
			delete(o, alias)
		}
	}
	settled, err := o.settle(settings)
	if err != nil {
		return nil, err
	}
	list := []member{}
	for _, s := range settings {
		list = append(list, member{s.name, json.RawMessage(settled[s.name])})
	}
	own, err := membersOf(t)
	if err != nil {
		return nil, err
	}
	var out membersWriter
	for _, m := range append(list, own...) {
		if err := out.add(m.name, m.value); err != nil {
			return nil, err
		}
	}
	text, err := out.encode()
	if err != nil {
		return nil, err
	}
	return arch.Parse(name, text)
}

// task reads which head the network has, from the class that transformers saved,
// and the classes of a classifier. A configuration without a class is of the
// trunk alone.
func (o object) task(stem string) (t arch.Task, err error) {
	class, err := o.class()
	if err != nil {
		return t, err
	}
	class = cmp.Or(class, stem+tasks[0].class)
	at := slices.IndexFunc(tasks, func(row struct{ class, head string }) bool { return stem+row.class == class })
	if at < 0 {
		var known []string
		for _, row := range tasks {
			known = append(known, stem+row.class)
		}
		return t, fmt.Errorf("architectures is %s: supported are %s", quote.String(class), quote.Or(known))
	}
	t.Head = tasks[at].head
	switch t.Head {
	case arch.MaskedLM:
		tied, err := o.flag(tiedKey, true)
		t.Untied = !tied
		return t, err
	case "":
		t.Pooler = stem != "DistilBert"
		return t, nil
	}
	t.Classes, err = o.classes()
	return t, err
}

// class returns the class that transformers saved, "" if none is named.
func (o object) class() (string, error) {
	if o.null("architectures") {
		return "", nil
	}
	names, err := elements(o["architectures"])
	if err != nil || len(names) > 1 {
		return "", fmt.Errorf("architectures is %s, expected a list of one class", quote.String(string(o["architectures"])))
	}
	if len(names) == 0 {
		return "", nil
	}
	class, err := unquote(names[0])
	if err != nil {
		return "", fmt.Errorf("architectures: %w", err)
	}
	return class, nil
}

// classes returns the classes of a classifier, and what their scores mean.
func (o object) classes() (c arch.Classes, err error) {
	labels, err := o.labels()
	if err != nil {
		return c, err
	}
	c.Names = arch.LabelsOf(labels)
	if !o.null(problemKey) {
		c.Problem, err = o.text(problemKey, "")
	}
	return c, err
}

// labels returns the names of the classes. As in transformers, there are two
// without names if no member says how many.
func (o object) labels() ([]string, error) {
	n := 2
	var names object
	switch {
	case !o.null(classesKey):
		var err error
		if names, err = parseObject(o[classesKey]); err != nil {
			return nil, fmt.Errorf("%s: %w", classesKey, err)
		}
		n = len(names)
	case !o.null("num_labels"):
		var err error
		if n, err = o.size("num_labels"); err != nil {
			return nil, err
		}
	}
	const most = 1 << 16
	if n < 1 || n > most {
		return nil, fmt.Errorf("%d classes, must be from 1 to %d", n, most)
	}
	out := make([]string, n)
	for i := range out {
		out[i] = "LABEL_" + strconv.Itoa(i)
		if names == nil {
			continue
		}
		if names.absent(strconv.Itoa(i)) {
			return nil, fmt.Errorf("%s has %d classes, and none is %d: they must be numbered from 0 on", classesKey, n, i)
		}
		var err error
		if out[i], err = names.text(strconv.Itoa(i), ""); err != nil {
			return nil, fmt.Errorf("%s: %w", classesKey, err)
		}
	}
	return out, nil
}

// encoderMembers are the members of a config.json that transformers reads.
func encoderMembers(n nn.Network) ([]member, error) {
	all, err := membersOf(n)
	if err != nil {
		return nil, err
	}
	t := taskOf(n)
	own, err := membersOf(t.Task)
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(all, func(m member) bool {
		return slices.ContainsFunc(own, func(o member) bool { return o.name == m.name })
	})
	return withClasses(append(list, member{tiedKey, !t.Untied}), t.Classes)
}

// withClasses adds the members that name classes.
func withClasses(list []member, c arch.Classes) ([]member, error) {
	if labels := c.Names.List(); len(labels) > 0 {
		var names, ids membersWriter
		seen := map[string]bool{}
		for i, label := range labels {
			if err := names.add(strconv.Itoa(i), label); err != nil {
				return nil, err
			}
			if seen[label] {
				continue
			}
			seen[label] = true
			if err := ids.add(label, i); err != nil {
				return nil, err
			}
		}
		list = append(list, member{classesKey, json.RawMessage("{" + names.text.String() + "}")}, member{idsKey, json.RawMessage("{" + ids.text.String() + "}")})
	}
	if c.Problem != "" {
		list = append(list, member{problemKey, c.Problem})
	}
	return list, nil
}
