package usage

import "fmt"

// Percent formats a share; "-" if it is missing.
func Percent(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100**share)
}
