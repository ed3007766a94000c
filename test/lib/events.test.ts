import { describe, expect, it } from 'vitest'
import { Events } from '../../src/lib/events.ts'

interface Map {
  number: number
  text: string
}

describe('events', () => {
  it('reach those who asked, in the order in which they asked, until they leave', () => {
    const events = new Events<Map>()
    const heard: string[] = []
    const leave = events.on('number', (n) => heard.push(`first ${n}`))
    events.on('number', (n) => heard.push(`second ${n}`))
    events.on('text', (t) => heard.push(t))
    events.emit('number', 1)
    leave()
    leave()
    events.emit('number', 2)
    events.emit('text', 'hello')
    expect(heard).toEqual(['first 1', 'second 1', 'second 2', 'hello'])
  })
  it('come from nowhere to nobody without harm', () => {
    expect(() => new Events<Map>().emit('text', 'x')).not.toThrow()
  })
  it('are not stopped by a listener that throws, nor is the one who emits', () => {
    const errors: unknown[] = []
    const events = new Events<Map>((error) => errors.push(error))
    const heard: number[] = []
    events.on('number', () => {
      throw new Error('mine')
    })
    events.on('number', (n) => heard.push(n))
    events.emit('number', 7)
    expect(heard).toEqual([7])
    expect(errors).toEqual([new Error('mine')])
  })
  it('reach a listener that leaves while they are told, once', () => {
    const events = new Events<Map>()
    let heard = 0
    const leave = events.on('number', () => {
      heard++
      leave()
    })
    events.emit('number', 1)
    events.emit('number', 2)
    expect(heard).toBe(1)
  })
})
