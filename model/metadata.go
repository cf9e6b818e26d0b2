package model

import (
	"encoding/json"
	"fmt"
)

// The keys under which Checkpoint.Metadata describes a model.
const (
	MetaCheckpoint = "attnx.checkpoint" // Weights.Hash
	MetaConfig     = metaConfig         // Config as JSON; ParseConfig reads it
	MetaTokenizer  = "attnx.tokenizer"  // tokenizer.json; missing if the model has none
	MetaSpecial    = "attnx.special"    // Special as JSON; SpecialIn reads it
)

// Metadata returns what an exported file carries, so that it can be used and
// traced without the checkpoint: the configuration, the tokenizer, the special
// ids and the hash of the weights.
func (c *Checkpoint) Metadata() (map[string]string, error) {
	config, err := json.Marshal(c.Config)
	if err != nil {
		return nil, fmt.Errorf("model: configuration: %w", err)
	}
	meta := map[string]string{MetaCheckpoint: c.Weights.Hash(), MetaConfig: string(config)}
	if len(c.Tokenizer) > 0 {
		meta[MetaTokenizer] = string(c.Tokenizer)
	}
	return meta, c.addSpecial(meta)
}
