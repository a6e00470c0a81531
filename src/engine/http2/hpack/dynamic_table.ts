import type { Field } from './static_table.ts';

/** What a field counts beside its octets (RFC 7541 section 4.1). */
export const fieldOverhead = 32;

/** The fields that a peer had us keep, newest first (RFC 7541 section 2.3.2): a ring. */
export class DynamicTable {
  #ring: (Field | undefined)[] = Array.from({ length: 16 });
  /** The newest field's place in the ring, whose length is a power of two. */
  #newest = 0;
  #count = 0;
  #size = 0;
  #maxSize: number;
  #generation = 0;

  /** `maxSize` in octets, as RFC 7541 section 4.1 counts them. */
  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get count(): number {
    return this.#count;
  }

  get size(): number {
    return this.#size;
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  /** Another number for whatever else the table holds or may hold; never an earlier one again. */
  get generation(): number {
    return this.#generation;
  }

  /** The field at a place: 0 is the newest one. */
  get(place: number): Field | undefined {
    if (place >= this.#count) return undefined;
    return this.#ring[(this.#newest - place) & (this.#ring.length - 1)];
  }

  /** RFC 7541 section 4.4: evicts first, and a field larger than the table leaves it empty. */
  insert(field: Field): void {
    this.#generation++;
    const size = sizeOf(field);
    this.#evictTo(this.#maxSize - size);
    if (size > this.#maxSize) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#size += size;
  }

  /** RFC 7541 section 4.3. */
  resize(maxSize: number): void {
    this.#generation++;
    this.#maxSize = maxSize;
    this.#evictTo(maxSize);
  }

  #evictTo(size: number): void {
    const mask = this.#ring.length - 1;
    while (this.#size > size && this.#count > 0) {
      const oldest = (this.#newest - --this.#count) & mask;
      const field = this.#ring[oldest];
      if (field) this.#size -= sizeOf(field);
      this.#ring[oldest] = undefined;
    }
  }

  #grow(): void {
    const fields = Array.from({ length: this.#count }, (_, at) => this.get(this.#count - 1 - at));
    this.#ring = fields.concat(Array.from({ length: this.#count }));
    this.#newest = this.#count - 1;
  }
}

function sizeOf({ name, value }: Field): number {
  return name.length + value.length + fieldOverhead;
}
