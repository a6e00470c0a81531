/** The metadata that asks for faults. */
export const faultName = 'x-greeter-fault';

/**
 * The metadata of a response that lists its faults: in the headers those that are injected if the response lasts until
 * they are due, and in the trailers those that were.
 */
export const injectedName: `x-${string}` = 'x-greeter-fault-injected';

/** The trailer of a call that was served without its faults, as too many calls had some. */
export const overflowName = 'x-greeter-fault-overflow';
