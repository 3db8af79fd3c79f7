// Package media owns what people upload: addresses (mxc), files, thumbnails, quotas, and the virus scanner's verdict.
//
// It is called by mediaapi. Files are content-addressed within a tenant and handed to a [Store] as streams; the address
// never tells the digest. A file is on disk before the row that names it is committed, so that an acknowledged upload
// outlives any crash, and what a crash leaves behind is garbage that is swept. The package decodes pictures only after
// their headers said that this fits its memory. It knows nothing of HTTP and makes no connection.
package media
