package train

import (
	"encoding/json"
	"fmt"

	"github.com/attnx/attnx/model"
)

// maxState bounds the JSON of a training state, in bytes.
const maxState = 1 << 20

// randomState is the state of a run's random numbers. A number depends only on
// the seed, the stream's name and its index, so the index is the only state.
type randomState struct {
	Generator string `json:"generator"`
	Seed      uint64 `json:"seed"`
	Batches   int    `json:"batches"` // drawn from the stream of training batches
}

// dataState is a run's position in its data.
type dataState struct {
	SHA256  string `json:"sha256"`  // of the text
	Batches int    `json:"batches"` // batches taken so far
}

// generator is the name of the algorithm of model.Stream.
const generator = "philox4x32-10"

// state returns the training state after step steps, without the moments.
func (o Options) state(step int) (*model.TrainState, error) {
	batches := step * max(1, o.Accumulate)
	s := &model.TrainState{}
	for _, part := range []struct {
		into *json.RawMessage
		v    any
	}{
		{&s.Options, o},
		{&s.Random, randomState{generator, o.Seed, batches}},
		{&s.Data, dataState{o.DataSHA256, batches}},
	} {
		text, err := json.Marshal(part.v)
		if err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
		*part.into = text
	}
	return s, nil
}

// checkState rejects a state that does not match these options.
func (o Options) checkState(s *model.TrainState, step int) error {
	if len(s.Random) > maxState || len(s.Data) > maxState {
		return fmt.Errorf("train: the checkpoint's training state has more than %d bytes", maxState)
	}
	var random randomState
	if err := json.Unmarshal(s.Random, &random); err != nil {
		return fmt.Errorf("train: the checkpoint's random state: %w", err)
	}
	var data dataState
	if err := json.Unmarshal(s.Data, &data); err != nil {
		return fmt.Errorf("train: the checkpoint's position in the data: %w", err)
	}
	batches := step * max(1, o.Accumulate)
	switch {
	case random.Generator != generator:
		return fmt.Errorf("train: the checkpoint's random numbers are from %.80q, this version has %s: resume with the version that wrote it", random.Generator, generator)
	case random.Seed != o.Seed || random.Batches != batches:
		return fmt.Errorf("train: the checkpoint's random numbers are at batch %d of seed %d, its step at batch %d of seed %d: the file is a mix of two", random.Batches, random.Seed, batches, o.Seed)
	case data.SHA256 != o.DataSHA256 || data.Batches != batches:
		return fmt.Errorf("train: the checkpoint is at batch %d of the text %.12s, its step at batch %d of %.12s: the file is a mix of two", data.Batches, data.SHA256, batches, o.DataSHA256)
	}
	return nil
}
