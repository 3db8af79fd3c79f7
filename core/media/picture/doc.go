// Package picture makes small pictures of large ones: JPEG, PNG, GIF and WebP in, JPEG, PNG and GIF out.
//
// [Probe] reads headers only and says what decoding would cost, so that the caller can refuse before anything is
// decoded. It trusts no name and no content type, only the bytes. JPEG photographs are decoded at an eighth, a quarter
// or half of their size, which is several times quicker than decoding all of them. The package keeps no state.
package picture
