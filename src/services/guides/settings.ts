import { duration } from '../../config/parse.ts';
import type { Read } from '../../config/setting.ts';

/** The settings of the guides' services. */
export function readGuideSettings(read: Read) {
  return {
    parrotInterval: read('parrot-interval', {
      value: 'DURATION',
      fallback: '3s',
      help: 'pause after each reply of greet.Greeter/ParrotSayHello and ParrotSaysHello',
      parse: duration({ min: '0s' }),
    }),
  };
}
