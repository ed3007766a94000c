import path from 'node:path'
import { z } from 'zod'

/** What the schemas of profiles and of databases share. */

/** Text that every wire and file can hold: no half surrogate pairs. */
export const textOf = (max: number): z.ZodString =>
  z
    .string()
    .max(max)
    .refine((s) => s.isWellFormed(), 'must be well-formed Unicode')

export const oneLine = (max: number): z.ZodString =>
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  textOf(max).refine((s) => !/[\u0000-\u001f\u007f]/.test(s), 'must not hold control characters')

/** An absolute path. Whether it may be used is for the roots to say. */
export const pathSchema = oneLine(4096)
  .min(1)
  .refine((s) => path.isAbsolute(s), 'must be an absolute path')

export const whole = (min: number, max: number): z.ZodInt => z.int().min(min).max(max)

export const componentSchema = oneLine(255)
  .min(1)
  .refine((s) => !/[/\\]/.test(s) && s !== '.' && s !== '..', 'must be a single path component')
