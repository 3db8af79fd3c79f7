// Package httpx is the door of the server: it routes a request, finds out who asks, limits how much and how
// often, decodes the body and turns what a handler returns (a value or an error) into an answer.
//
// Entrances (clientapi, federation, mediaapi, adminapi) declare their routes here with [Handle] and [HandleRaw]; cmd
// hands in how tokens are authenticated. The package knows no Matrix rules beyond the transport's own (errors, CORS,
// access tokens) and no storage. It is the only home of gorilla/mux.
package httpx
