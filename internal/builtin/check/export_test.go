package check

// ParseAmount is parseAmount.
func ParseAmount(text string) (int64, bool) { return parseAmount(text) }
