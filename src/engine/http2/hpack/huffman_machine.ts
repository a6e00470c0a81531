import { endOfString, huffmanCodes, huffmanLengths } from './huffman_table.ts';

/**
 * The Huffman code (RFC 7541 appendix B) as a machine that takes eight bits at once. Its states are
 * the code's inner nodes, that is, the bits that began a symbol and have not ended it.
 */
export interface HuffmanMachine {
  /**
   * What a state does with an octet, at `state << 8 | octet`: the next state in the low eight bits,
   * how many symbols have ended (no code is short enough for more than two) in the next eight, and
   * the symbols in the eight bits above these, and above those. 0 stands for the end of a string,
   * which may not occur: no state gets back to the first one without a symbol.
   */
  readonly transitions: Int32Array;
  /** 1 for each state in which a string may end: nothing is left, or less than eight bits, all of them 1. */
  readonly accepting: Uint8Array;
}

let machine: HuffmanMachine | undefined;

/** Built when it is first needed, 256 KiB for all connections together. */
export function huffmanMachine(): HuffmanMachine {
  machine ??= build();
  return machine;
}

const states = 256;

/** The code's tree: two numbers for each inner node, another node or (negative) -1 - symbol. */
type Tree = Int16Array;

function build(): HuffmanMachine {
  const tree = buildTree();
  const transitions = new Int32Array(states << 8);
  for (let state = 0; state < states; state++) fill(state, state, 0, 0, 0);
  return { transitions, accepting: findAccepting(tree) };

  /** Follows every octet that begins with `bits`, after `depth` of them, from the node they led to. */
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
      // No inner node has the root below it, so 0 is a node that is not there yet.
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
