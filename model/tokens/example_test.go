package tokens_test

import (
	"fmt"

	"github.com/attnx/attnx/model/tokens"
)

func Example() {
	tok, err := tokens.Train(tokens.Word, "I do not like it, I hate it.", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := tok.Encode("I do like tea, not it.")
	text, err := tok.Decode(ids)
	fmt.Println(ids)
	fmt.Println(text, err)
	// Output:
	// [1 5 7 0 3 8 2 4]
	// I do like [UNK], not it. <nil>
}
