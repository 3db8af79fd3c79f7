package mediaapi

import (
	"mime"
	"net/http"
	"strings"

	"rempart/core/media"
)

// inline lists the content types that a browser may show, since none of them can run anything.
// Spec: client-server-api/#serving-inline-content
var inline = map[string]bool{
	"text/css": true, "text/plain": true, "text/csv": true, "application/json": true, "application/ld+json": true,
	"image/jpeg": true, "image/gif": true, "image/png": true, "image/apng": true, "image/webp": true, "image/avif": true,
	"video/mp4": true, "video/webm": true, "video/ogg": true, "video/quicktime": true,
	"audio/mp4": true, "audio/webm": true, "audio/aac": true, "audio/mpeg": true, "audio/ogg": true, "audio/wave": true,
	"audio/wav": true, "audio/x-wav": true, "audio/x-pn-wav": true, "audio/flac": true, "audio/x-flac": true,
}

// disposition is the Content-Disposition of a file: shown only when its type is harmless, else saved.
func disposition(contentType, name string) string {
	kind := "attachment"
	if base, _, err := mime.ParseMediaType(contentType); err == nil && inline[base] {
		kind = "inline"
	}
	if name == "" {
		return kind
	}
	if text := mime.FormatMediaType(kind, map[string]string{"filename": name}); text != "" {
		return text
	}
	return kind
}

// thumbnailName names a made picture. Spec: client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid
func thumbnailName(contentType string) string {
	if contentType == "image/jpeg" {
		return "thumbnail.jpg"
	}
	return "thumbnail." + strings.TrimPrefix(contentType, "image/")
}

// policy keeps a browser from running a file that it shows all the same. Spec: client-server-api/#content-repository
const policy = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';"

func safeHeaders(h http.Header, f *media.File, disposition string) {
	h.Set("Content-Type", f.Type)
	h.Set("Content-Disposition", disposition)
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, max-age=86400")
	h.Set("ETag", `"`+f.Tag+`"`)
}
