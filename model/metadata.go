package model

import (
	"errors"
	"fmt"
	"strings"
)

// Keys of Checkpoint.Metadata.
const (
	MetaCheckpoint = "attnx.checkpoint"    // Weights.Hash
	MetaConfig     = metaConfig            // Checkpoint.Config
	MetaGraph      = "attnx.graph"         // Checkpoint.Graph, as printed by graph.Print
	MetaTokenizer  = "attnx.tokenizer"     // tokenizer.json; missing if the model has none
	MetaSpecial    = "attnx.special"       // Special as JSON; SpecialIn reads it
	MetaChat       = "attnx.chat_template" // Checkpoint.ChatTemplate; missing if the model has none
)

// Metadata returns what an exported file carries so that it can be used and
// traced without the checkpoint: the configuration, the graph, the tokenizer,
// the special ids, the chat template and the hash of the weights.
func (c *Checkpoint) Metadata() (map[string]string, error) {
	text, _, err := c.graphText()
	if err != nil {
		return nil, err
	}
	meta := map[string]string{MetaCheckpoint: c.Weights.Hash(), MetaConfig: string(c.Config), MetaGraph: string(text)}
	if len(c.Tokenizer) > 0 {
		meta[MetaTokenizer] = string(c.Tokenizer)
	}
	if c.ChatTemplate != "" {
		meta[MetaChat] = c.ChatTemplate
	}
	err = errors.Join(c.addSpecial(meta), c.addLowBits(meta), c.addLoRA(meta))
	if err == nil && c.Whole != nil {
		var whole map[string]string
		whole, err = c.Whole.Metadata()
		for key, text := range whole {
			meta[metaWhole+strings.TrimPrefix(key, metaPrefix)] = text
		}
	}
	return meta, err
}

// Prefixes of the keys: of all, and of those of Checkpoint.Whole.
const (
	metaPrefix = "attnx."
	metaWhole  = metaPrefix + "translator."
)

// WholeIn returns the network that translates, without its weights, from the metadata of
// its encoder. tensors is the number of tensors in all files of the pair, which bounds it.
func WholeIn(meta map[string]string, tensors int) (*Checkpoint, error) {
	whole := map[string]string{}
	for key, text := range meta {
		if own, is := strings.CutPrefix(key, metaWhole); is {
			whole[metaPrefix+own] = text
		}
	}
	c, err := FromMetadata(whole, tensors)
	if err == nil && !c.Translates() {
		err = fmt.Errorf("model: the metadata describe the network %.80q, which does not translate", c.Arch)
	}
	return c, err
}

// FromMetadata returns the model that Metadata described, without its weights.
// For a file from before graphs were stored, it builds the network from the
// configuration; tensors is the number of tensors in the file, which bounds
// it.
func FromMetadata(meta map[string]string, tensors int) (*Checkpoint, error) {
	config, ok := meta[MetaConfig]
	if !ok {
		return nil, fmt.Errorf("model: no %.80q in the metadata", MetaConfig)
	}
	var text []byte
	if printed, ok := meta[MetaGraph]; ok {
		text = []byte(printed)
	}
	has, err := parseChanges(meta)
	if err != nil {
		return nil, err
	}
	c, err := describe(config, text, tensors, has)
	if err != nil {
		return nil, err
	}
	c.Tokenizer, c.ChatTemplate = []byte(meta[MetaTokenizer]), meta[MetaChat]
	if err := CheckTemplate(c.ChatTemplate); err != nil {
		return nil, err
	}
	c.Special, err = SpecialIn(meta, c.IDs())
	return c, err
}
