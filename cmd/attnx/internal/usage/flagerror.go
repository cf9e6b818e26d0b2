package usage

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// FlagError says what is wrong with a flag of a command, and where its help is. For a
// value that is not a number it says which numbers the flag takes.
func FlagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		if number := new(strconv.NumError); errors.As(value, &number) {
			takes := "a whole number"
			switch kind := value.GetFlag().Value.Type(); {
			case errors.Is(number, strconv.ErrRange):
				takes = "a smaller number"
			case strings.HasPrefix(kind, "uint"):
				takes = "a whole number, 0 or more"
			case strings.HasPrefix(kind, "float"):
				takes = "a number"
			case kind == "bool":
				takes = "true or false"
			}
			err = fmt.Errorf("--%s %.80q: take %s", value.GetFlag().Name, value.GetValue(), takes)
		}
	}
	return fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath())
}
