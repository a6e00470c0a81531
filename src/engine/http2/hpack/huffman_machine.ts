import { endOfString, huffmanCodes, huffmanLengths } from './huffman_table.ts';

/**
 * A state machine for the Huffman code (RFC 7541 appendix B) that consumes eight bits at a time. Its states are the
 * inner nodes of the code tree, that is, the bits of a symbol that is not complete.
 */
export interface HuffmanMachine {
  /**
   * The transition of a state and an octet, at index `state << 8 | octet`: bits 0-7 are the next state, bits 8-15 the
   * number of completed symbols (at most two), and the bits above them the symbols, eight bits each. 0 marks the
   * end-of-string symbol, which must not occur: no state returns to state 0 without completing a symbol.
   */
  readonly transitions: Int32Array;
  /** 1 for each state in which a string may end: less than eight bits are left, and all of them are 1. */
  readonly accepting: Uint8Array;
}

let machine: HuffmanMachine | undefined;

/** Created at first use; 256 KiB, shared by all connections. */
export function huffmanMachine(): HuffmanMachine {
  machine ??= build();
  return machine;
}

const states = 256;

/** The code tree: two entries per inner node, each another node, or -1 - symbol if negative. */
type Tree = Int16Array;

function build(): HuffmanMachine {
  const tree = buildTree();
  const transitions = new Int32Array(states << 8);
  for (let state = 0; state < states; state++) fill(state, state, 0, 0, 0);
  return { transitions, accepting: findAccepting(tree) };

  /** Fills in every octet that starts with `bits`, `depth` of them consumed, from the node that they lead to. */
  function fill(state: number, node: number, depth: number, bits: number, ended: number): void {
    if (depth === 8) {
      transitions[(state << 8) | bits] = ended | node;
      return;
    }
    for (let bit = 0; bit < 2; bit++) {
      const child = childOf(tree, node, bit);
      const longer = (bits << 1) | bit;
      if (child >= 0) fill(state, child, depth + 1, longer, ended);
      else if (child !== -1 - endOfString) {
        fill(state, 0, depth + 1, longer, withSymbol(ended, -1 - child));
      }
    }
  }
}

function withSymbol(ended: number, symbol: number): number {
  return ended === 0 ? 0x1_00 | (symbol << 16) : ended + 0x1_00 + (symbol << 24);
}

function buildTree(): Tree {
  const tree = new Int16Array(2 * states);
  let nodes = 1;
  for (let symbol = 0; symbol <= endOfString; symbol++) {
    const code = huffmanCodes[symbol] ?? 0;
    const length = huffmanLengths[symbol] ?? 0;
    let node = 0;
    for (let left = length - 1; left > 0; left--) {
      const at = 2 * node + ((code >>> left) & 1);
      // The root is no child, so 0 marks a missing node.
      if (tree[at] === 0) tree[at] = nodes++;
      node = tree[at] ?? 0;
    }
    tree[2 * node + (code & 1)] = -1 - symbol;
  }
  return tree;
}

function findAccepting(tree: Tree): Uint8Array {
  const accepting = new Uint8Array(states);
  let node = 0;
  for (let depth = 0; depth <= 7; depth++) {
    accepting[node] = 1;
    node = childOf(tree, node, 1);
  }
  return accepting;
}

function childOf(tree: Tree, node: number, bit: number): number {
  return tree[2 * node + bit] ?? 0;
}
