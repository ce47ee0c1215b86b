package vault

import "encoding/base64"

func encodeURL(b []byte) string { return base64.URLEncoding.EncodeToString(b) }
