/** What may stand in a record: plain JSON. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json | undefined }
